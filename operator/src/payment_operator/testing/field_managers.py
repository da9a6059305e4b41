"""Server-side apply: who has set which field, and what an applied manifest makes of an object.

By kubernetes.io/docs/reference/using-api/server-side-apply:
- a field that another manager has set to another value is a conflict; forced, it changes hands;
- a field that was applied before and is left out now is removed, unless another manager has it too;
- lists are one value ("atomic"), but for those whose items are found by keys; some maps are one value too;
- every other write takes the fields whose values it changes from their managers.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from payment_operator.resources.metadata import Manifest
from payment_operator.testing.json_patch import copied
from payment_operator.testing.kinds import CUSTOM


class Item(NamedTuple):
    """The place of a list's item: its keys and their values."""

    keys: tuple[tuple[str, Any], ...]


class Value(NamedTuple):
    """The place of an item in a list that is a set: the item itself."""

    value: Any


class Manager(NamedTuple):
    """Who has fields: a name and the way it writes, as in `managedFields`."""

    name: str
    verb: Literal["Apply", "Update"] = "Apply"


Step = str | Item | Value
Path = tuple[Step, ...]
Owned = dict[Manager, set[Path]]
"""The fields by manager."""
ITEM_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
}
"""Lists of type `map` in the kinds that the operator writes, with the keys of their items."""
PORT_KEYS: Final[dict[str, tuple[str, ...]]] = {"Service": ("port", "protocol")}
CONTAINER_PORT_KEYS: Final = ("containerPort", "protocol")
PORT_DEFAULTS: Final = {"protocol": "TCP"}
SETS: Final = frozenset({("metadata", "finalizers")})
"""Lists of type `set`: each manager has items of its own."""
ATOMIC: Final = frozenset(
    {
        *("selector", "nodeSelector", "labelSelector", "namespaceSelector"),
        *("configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef", "involvedObject"),
        "requiredDuringSchedulingIgnoredDuringExecution",
    }
)
"""Maps of type `atomic`: a selector half of one manager and half of another would select nothing."""
ATOMIC_ITEMS: Final = frozenset({"ownerReferences"})
"""Lists whose items are one value each."""
SYSTEM: Final = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
)
"""Of `metadata`: the API server's own, or what names the object."""
TOP: Final = frozenset({"apiVersion", "kind"})


def applied(live: Manifest, manifest: Manifest, owned: Owned, *, manager: Manager) -> Manifest:
    """The object with what is applied in place, and without what the manager applied before and leaves out now."""
    result = copied(live)
    new = _leaves(manifest)
    others: set[Path] = set().union(*(paths for name, paths in owned.items() if name != manager))
    for path in sorted(owned.get(manager, set()) - set(new), key=_inner_first):
        if not any(_within(other, _kept_with(path)) for other in (*others, *new)):
            _remove(result, path)
    for path, value in new.items():
        _set(result, path, copied(value))
    return dict(result)


def conflicts(live: Manifest, manifest: Manifest, owned: Owned, *, manager: Manager) -> dict[Manager, list[Path]]:
    """The fields that are others' with other values, by manager."""
    found: dict[Manager, list[Path]] = {}
    present = _leaves(live)
    for path, value in _leaves(manifest).items():
        if path in present and present[path] == value:
            continue
        for name, paths in owned.items():
            if name != manager and any(_within(path, other) or _within(other, path) for other in paths):
                found.setdefault(name, []).append(path)
    return found


def taken(manifest: Manifest, owned: Owned, *, manager: Manager, lost: Mapping[Manager, Iterable[Path]]) -> Owned:
    """Who has which field after an apply that was let through."""
    left = {name: paths - set(lost.get(name, ())) for name, paths in owned.items() if name != manager}
    return {name: paths for name, paths in left.items() if paths} | {manager: set(_leaves(manifest))}


def changed(before: Manifest, after: Manifest, owned: Owned, *, manager: Manager) -> Owned:
    """Who has which field after a write that is no apply: whose values it has changed are the writer's alone."""
    old, new = _leaves(before), _leaves(after)
    written = {path for path, value in new.items() if path not in old or old[path] != value}
    there = set(new)
    left = {name: (paths & there) - written for name, paths in owned.items()}
    left[manager] = left.get(manager, set()) | written
    return {name: paths for name, paths in left.items() if paths}


def _leaves(item: Manifest) -> dict[Path, Any]:
    """What managers can have of an object: each scalar, each whole list or map that is one value."""
    kind = item.get("kind", "")
    found: dict[Path, Any] = {}
    for name, value in item.items():
        if name == "metadata":
            inner = {key: entry for key, entry in value.items() if key not in SYSTEM}
            found |= dict(_walk(inner, (name,), kind)) if inner else {}
        elif name not in TOP:
            found |= dict(_walk(value, (name,), kind))
    return found


def _walk(value: Any, path: Path, kind: str) -> Iterator[tuple[Path, Any]]:
    keys = _keys_of(path, kind) if isinstance(value, list) and value else None
    if isinstance(value, dict) and value and not _is_one(path, kind):
        for name, inner in value.items():
            yield from _walk(inner, (*path, name), kind)
    elif keys is not None:
        for entry in value:
            place = Item(tuple((key, entry.get(key, PORT_DEFAULTS.get(key))) for key in keys))
            yield from _walk(entry, (*path, place), kind)
    elif path in SETS:
        yield from (((*path, Value(entry)), entry) for entry in value)
    else:
        yield path, value


def _is_one(path: Path, kind: str) -> bool:
    """Whether the API server takes a map as one value; what a ControllerRevision holds has no schema."""
    if path[-1] in ATOMIC:
        return kind not in CUSTOM
    item_of_one = isinstance(path[-1], Item) and path[-2] in ATOMIC_ITEMS
    return item_of_one or (kind == "ControllerRevision" and path == ("data",))


def _keys_of(path: Path, kind: str) -> tuple[str, ...] | None:
    name = path[-1]
    if kind in {"HorizontalPodAutoscaler", *CUSTOM} and name != "conditions":
        return ITEM_KEYS.get(str(name)) if path[0] == "metadata" else None
    if name == "ports":
        return PORT_KEYS.get(kind, CONTAINER_PORT_KEYS)
    return ITEM_KEYS.get(str(name))


def _within(path: Path, outer: Path) -> bool:
    return path[: len(outer)] == outer


def _find(inner: Any, step: Step) -> Any:
    if isinstance(step, str):
        return inner.get(step) if isinstance(inner, dict) else None
    return next((entry for entry in inner if _is(entry, step)), None) if isinstance(inner, list) else None


def _is(entry: Any, step: Item | Value) -> bool:
    if isinstance(step, Value):
        return bool(entry == step.value)
    return isinstance(entry, dict) and all(entry.get(key, PORT_DEFAULTS.get(key)) == value for key, value in step.keys)


def _set(whole: Manifest, path: Path, value: Any) -> None:
    inner: Any = whole
    for step, after in zip(path, (*path[1:], None), strict=True):
        if after is None:
            _put(inner, step, value)
            return
        found = _find(inner, step)
        if not isinstance(found, dict if isinstance(after, str) else list):
            found = _begun(step) if isinstance(after, str) else []
            _put(inner, step, found)
        inner = found


def _put(inner: Any, step: Step, value: Any) -> None:
    if isinstance(step, str):
        inner[step] = value
        return
    place = next((index for index, entry in enumerate(inner) if _is(entry, step)), len(inner))
    inner[place : place + 1] = [value]


def _kept_with(path: Path) -> Path:
    """What a field stays with: a list's item keeps what names it as long as there is anything in it."""
    item = path[-2] if len(path) > 1 else ""
    return path[:-1] if isinstance(item, Item) and path[-1] in dict(item.keys) else path


def _inner_first(path: Path) -> tuple[int, bool]:
    """Inner fields before outer ones, and what names an item after the rest of it."""
    return -len(path), _kept_with(path) != path


def _begun(step: Step) -> dict[str, Any]:
    """A new map; an item of a list begins with what names it."""
    return {key: value for key, value in step.keys if value is not None} if isinstance(step, Item) else {}


def _remove(whole: Manifest, path: Path) -> None:
    """Take a field out, and each list, map or item around it that nothing is left in."""
    chain: list[tuple[Any, Step, Any]] = []
    inner: Any = whole
    for step in path:
        found = _find(inner, step)
        if found is None and step != path[-1]:
            return
        chain.append((inner, step, found))
        inner = found
    for depth, (parent, step, found) in enumerate(reversed(chain)):
        if depth and found:
            return
        if not isinstance(step, str):
            parent[:] = [entry for entry in parent if entry is not found]
        elif isinstance(parent, dict):
            parent.pop(step, None)


def spelled(path: Path) -> str:
    """A field as the API server writes it: `.spec.template.spec.containers[name="app"].image`."""
    return "".join(_spelled(step) for step in path)


def _spelled(step: Step) -> str:
    if isinstance(step, str):
        return f".{step}"
    if isinstance(step, Value):
        return f"[={json.dumps(step.value)}]"
    return f"[{','.join(f'{key}={json.dumps(value)}' for key, value in step.keys)}]"
