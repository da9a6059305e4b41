"""Stripe's request encoding: forms whose names carry brackets (docs.stripe.com/api)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus

_PART = re.compile(r"[^\[\]]+")


def parse_form(encoded: str) -> dict[str, Any]:
    """Return the nested parameters of `a=1&b[c]=2&d[0][e]=3&f[]=4`; all values are text."""
    root: dict[str, Any] = {}
    nested = False
    for pair in encoded.split("&") if encoded else ():
        name, _, value = map(_unquoted, pair.partition("="))
        if not name.endswith("]"):
            root[name] = value
            continue
        nested = True
        _put(root, name, value)
    return {key: _lists(value) for key, value in root.items()} if nested else root


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _put(root: dict[str, Any], name: str, value: str) -> None:
    parts: list[str] = _PART.findall(name)
    if name.endswith("[]"):
        parts.append("")
    node = root
    for part in parts[:-1]:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            below = node[part] = {}
        node = below
    node[parts[-1] or str(len(node))] = value


def _lists(node: Any) -> Any:
    """Turn dictionaries whose keys are 0, 1, … into lists."""
    if not isinstance(node, dict):
        return node
    values = {key: _lists(value) for key, value in node.items()}
    if values and all(key.isdigit() for key in values):
        return [values[key] for key in sorted(values, key=int)]
    return values


def flag(value: Any, *, default: bool = False) -> bool:
    """Return a boolean parameter."""
    return default if value is None else str(value).lower() == "true"
