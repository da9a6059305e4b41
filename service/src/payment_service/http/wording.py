"""What the decoder says of a value, in the words of the API: JSON's types, and what a pattern means."""

from __future__ import annotations

import ast
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from payment_service.http.id_types import FORMS, MOMENT

if TYPE_CHECKING:
    from collections.abc import Collection

_PLACE: Final = re.compile(r" - at (?P<name>`key` in )?`(?P<path>[^`]*)`$")
_PATTERN: Final = re.compile(r"(?P<type>`[^`]*`) matching regex (?P<pattern>['\"].*['\"])$", re.DOTALL)
_TYPES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "datetime": "moment",
}
_NO_MOMENT: Final = {"Invalid RFC3339 encoded datetime", "Expected `datetime` with a timezone component"}
"""What msgspec says of texts that are no moment, and of moments without an offset."""
_TYPE: Final = re.compile(rf"\b({'|'.join(_TYPES)})\b")
_QUOTED: Final = re.compile(r"`([^`]*)`")
_LONGEST_NAME: Final = 64
"""A longer name is near to none; to look for one takes forty times its memory."""


def in_plain_words(message: str) -> str:
    """Return a message of msgspec's for a person who knows JSON and not Python."""
    place = _PLACE.search(message)
    text = message[: place.start()] if place else message
    pattern = _PATTERN.search(text)
    if pattern is not None:
        meaning = FORMS.get(_literal(pattern["pattern"]))
        text = f"{text[: pattern.start()]}{meaning}" if meaning else text
    if text in _NO_MOMENT:
        text = f"Expected {FORMS[MOMENT]}"
    text = _QUOTED.sub(lambda quoted: _TYPE.sub(lambda found: _TYPES[found[0]], quoted[1]), text)
    if place is None or (place["path"] == "$" and not place["name"]):
        return text
    return f"{'a name' if place['name'] else 'a value'} in it: {text}"


def unknown(noun: str, name: str, known: Collection[str]) -> str:
    """Return what a caller is told of a name that is none of those known: the nearest one, else all of them.

    Args:
        noun: what it names, `field` or `parameter`.
        name: as it was sent.
        known: the names that there are.
    """
    near = get_close_matches(name, known, n=1) if len(name) <= _LONGEST_NAME else []
    return f"unknown {noun}; did you mean {near[0]}?" if near else f"unknown {noun}; known: {', '.join(known)}"


def _literal(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
