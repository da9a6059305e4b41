"""Writes YAML. Only what JSON can hold; strings are quoted when in doubt.

PyYAML's pure half could stand in the plugin's one file: 5 900 lines and 40 ms of each start in place of these; kubectl
reads YAML for us (`lint/documents.py`). A test reads everything that is written here with PyYAML.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*( [A-Za-z0-9_./()-]+)*")
_BREAKS: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON writes as they are, and YAML reads as line breaks or not at all."""
_WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", ""}


def to_yaml(value: Any) -> str:
    """Return one YAML document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _entry(f"{_scalar(str(name))}:", inner, indent="  ")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _item(inner)
    else:
        yield _scalar(value)


def _entry(head: str, inner: Any, *, indent: str) -> Iterator[str]:
    if isinstance(inner, dict | list) and inner:
        yield head
        yield from (indent + line for line in _lines(inner))
    else:
        yield f"{head} {_scalar(inner)}"


def _item(inner: Any) -> Iterator[str]:
    first = True
    for line in _lines(inner):
        yield ("- " if first else "  ") + line
        first = False


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
