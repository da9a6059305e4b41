"""Removes secrets from texts that leave the operator: status, Events, logs."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

MARK: Final = "***"
_PATTERNS: Final = (
    (re.compile(r"\b(?:sk|rk|pk)_(?:test|live)_\w+|\bwhsec_\w+"), MARK),
    (re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@]+@"), rf"\g<scheme>{MARK}@"),
)
_SHORTEST: Final = 6


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without anything that looks like a secret and without the given values and their passwords."""
    for value in sorted(_parts(secrets), key=len, reverse=True):
        text = text.replace(value, MARK)
    for pattern, mark in _PATTERNS:
        text = pattern.sub(mark, text)
    return text


def _parts(secrets: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for value in secrets:
        found |= {value, *value.split(",")}
        if "://" in value:
            found |= _passwords(value)
    return {part for part in found if len(part) >= _SHORTEST}


def _passwords(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
