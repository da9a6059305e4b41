"""Objects of each kind that has rows, and the same with one member of a wrong type, made of the declared shapes."""

from __future__ import annotations

from copy import deepcopy
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

import msgspec

from payment_service.mirror.registry import KINDS
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]

SHAPES: Final[dict[str, type[msgspec.Struct]]] = {name: kind.shape for name, kind in KINDS.items()}
VALUES: Final[tuple[Any, ...]] = (
    None,
    "text",
    "t" * 3_000,
    7,
    1.5,
    10**12,
    10**30,
    True,
    [],
    ["x"],
    [7],
    {},
    {"x": 7},
    {"id": 7},
)
_TEXTS: Final = {"currency": "usd", "status": "open", "email": "ada@example.com", "type": "subscription"}


def whole(kind: str) -> dict[str, Any]:
    """Return a good object with a value in each member that is read."""
    read: dict[str, Any] = _example(SHAPES[kind], "")
    return shape(kind.replace(".", "_")) | read | {"deleted": False}


def _example(kind: Any, name: str) -> Any:
    """Return a value of a declared type."""
    kind = next(one for one in options(kind) if one is not type(None))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: _example(field.type, field.encode_name) for field in msgspec.structs.fields(kind)}
    if get_origin(kind) is list:
        return [_example(get_args(kind)[0], name)]
    if get_origin(kind) is dict:
        return {"plan": "pro"}
    if kind is str:
        return _TEXTS.get(name, f"{name}_1")
    return False if kind is bool else 7


def options(kind: Any) -> list[Any]:
    """Return what a type may be, without the bounds."""
    if get_origin(kind) is Annotated:
        return options(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        return [one for part in get_args(kind) for one in options(part)]
    return [kind]


def declared(kind: str) -> dict[Path, Any]:
    """Return all members that are read of a kind, however deep, with their types."""
    return dict(_members(SHAPES[kind], ()))


def _members(kind: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, kind
    for one in options(kind):
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            for field in msgspec.structs.fields(one):
                yield from _members(field.type, (*path, field.encode_name))
        elif get_origin(one) is list:
            yield from _members(get_args(one)[0], (*path, 0))


def with_value(obj: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return the object with another value in one place; an object takes the place of an id that it is within."""
    found = deepcopy(obj)
    inner: Any = found
    for step in path[:-1]:
        if not isinstance(inner[step], dict | list):
            inner[step] = {}
        inner = inner[step]
    inner[path[-1]] = value
    return found


def wrong(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each member that is read, and the object with each value in its place that it must not have."""
    obj = whole(kind)
    for path, wanted in declared(kind).items():
        for value in VALUES:
            if not _fits(value, wanted):
                yield dotted(path), with_value(obj, path, value)


def _fits(value: Any, wanted: Any) -> bool:
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return False
    return True


def dotted(path: Path) -> str:
    """Return a member's name as reasons tell it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
