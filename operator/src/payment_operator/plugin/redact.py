"""Removes secrets from what leaves the cluster. Rather too much than too little."""

import json
import re
from typing import Any, Final

REMOVED: Final = "(removed)"
_PATTERNS: Final = (
    (re.compile(r"\b(?:sk|rk|pk|whsec|lp|pi|seti|cs)_[A-Za-z0-9_]{8,}"), REMOVED),
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)[^/\s@\"']*@"), rf"\1{REMOVED}@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {REMOVED}"),
    (re.compile(r"(?i)\b((?:password|passwd|secret|token|api[_-]?key)\"?\s*[=:]\s*\"?)[^\s\"',;&]+"), rf"\1{REMOVED}"),
    (re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"), REMOVED),
    (re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), REMOVED),
    (re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"), REMOVED),
)
_SECRET_NAME: Final = re.compile(r"(?i)(secret|password|passwd|token|key|credential|url|dsn)")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def text(value: str) -> str:
    """Return the text without keys, signing secrets, passwords in addresses, card numbers and mail addresses."""
    for pattern, replacement in _PATTERNS:
        value = pattern.sub(replacement, value)
    return value


def json_text(value: Any) -> str:
    """Return an object of Kubernetes as JSON, without the values of variables that may be secrets."""
    return text(json.dumps(_cleaned(value), indent=2, ensure_ascii=False))


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name not in {"managedFields", _LAST_APPLIED}}
    if kept.get("kind") == "Secret":
        kept |= {name: dict.fromkeys(kept[name], REMOVED) for name in ("data", "stringData") if kept.get(name)}
    if isinstance(kept.get("value"), str) and isinstance(kept.get("name"), str):
        kept["value"] = kept["value"] if _harmless(kept["name"]) else REMOVED
    return {
        name: REMOVED if _VARIABLE.fullmatch(name) and not _harmless(name) else _cleaned(inner)
        for name, inner in kept.items()
    }


def _harmless(variable: str) -> bool:
    """``…_FILE`` names a path; any other variable whose name sounds secret may be one."""
    return variable.endswith("_FILE") or not _SECRET_NAME.search(variable)
