"""JSON patches as an API server does them: an operation on a place that is not there fails, and nothing is changed.

RFC 6902, and RFC 6901 for the places. `add` needs the place's parent, `remove`, `replace` and `test` the place itself;
values are equal as JSON has them, so that 1 is not true.
"""

import copy
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from payment_operator.resources.metadata import Manifest

AT_THE_END: Final = "-"


class NotDone(Exception):
    """An operation cannot be done, or a test has failed."""


def patched(item: Manifest, operations: Sequence[Manifest]) -> Manifest:
    """The object after all of the operations.

    Raises:
        NotDone: one of them cannot be done.
    """
    whole: dict[str, Any] = {"": copied(item)}
    for operation in operations:
        _operate(whole, operation)
    return dict(whole[""])


def copied(value: Any) -> Any:
    """The same in JSON, and nothing of it shared."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (OverflowError, ValueError):  # a number that no schema lets in, and that a test may store all the same
        return copy.deepcopy(value)


def _operate(whole: dict[str, Any], operation: Manifest) -> None:
    verb, path = operation["op"], operation["path"]
    if verb in {"move", "copy"}:
        value = copied(_value(whole, operation["from"]))
        if verb == "move":
            _remove(whole, operation["from"])
        _add(whole, path, value)
    elif verb == "test":
        if not _same(_value(whole, path), operation["value"]):
            raise NotDone(f"testing value {path} failed")
    elif verb == "add":
        _add(whole, path, copied(operation["value"]))
    elif verb == "remove":
        _remove(whole, path)
    elif verb == "replace":
        _value(whole, path)
        _remove(whole, path)
        _add(whole, path, copied(operation["value"]))
    else:
        raise NotDone(f"unexpected kind: {verb}")


def _same(one: Any, other: Any) -> bool:
    return bool(msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted"))


def _steps(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise NotDone(f"{path} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]


def _parent(whole: dict[str, Any], path: str) -> tuple[Any, str]:
    *steps, last = _steps(path)
    inner: Any = whole
    for step in steps:
        inner = _step(inner, step, path)
    return inner, last


def _step(inner: Any, step: str, path: str) -> Any:
    if isinstance(inner, dict) and step in inner:
        return inner[step]
    if isinstance(inner, list) and step.isdigit() and int(step) < len(inner):
        return inner[int(step)]
    raise NotDone(f"missing path: {path}")


def _value(whole: dict[str, Any], path: str) -> Any:
    parent, last = _parent(whole, path)
    return _step(parent, last, path)


def _add(whole: dict[str, Any], path: str, value: Any) -> None:
    parent, last = _parent(whole, path)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and (last == AT_THE_END or (last.isdigit() and int(last) <= len(parent))):
        parent.insert(len(parent) if last == AT_THE_END else int(last), value)
    else:
        raise NotDone(f"missing path: {path}")


def _remove(whole: dict[str, Any], path: str) -> None:
    parent, last = _parent(whole, path)
    _step(parent, last, path)
    del parent[int(last) if isinstance(parent, list) else last]
