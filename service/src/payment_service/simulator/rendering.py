"""How objects are shown: private members left out, ids expanded on request (docs.stripe.com/api/expanding_objects)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from payment_service.simulator.state import State

MAXIMUM_DEPTH = 4
ON_REQUEST = frozenset({("invoice", "confirmation_secret"), ("invoice", "payments")})
"""Members that are shown only when expanded (docs.stripe.com/changelog/basil/2025-03-31)."""


def render(state: State, obj: dict[str, Any], *, expand: Iterable[str] = ()) -> dict[str, Any]:
    """Return what the API shows of `obj`."""
    paths = [path.split(".") for path in expand]
    if any(len(path) > MAXIMUM_DEPTH for path in paths):
        raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
    return _render(state, obj, paths)


def _render(state: State, obj: dict[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    kind = obj.get("object", "")
    wanted = {path[0] for path in paths}
    shown = {}
    for name, value in obj.items():
        if name.startswith("_") or ((kind, name) in ON_REQUEST and name not in wanted):
            continue
        below = [path[1:] for path in paths if path[0] == name]
        shown[name] = _member(state, value, below) if below else _plain(state, value)
    return shown


def _plain(state: State, value: Any) -> Any:
    if isinstance(value, dict):
        return _render(state, value, []) if isinstance(value.get("object"), str) else value
    if isinstance(value, list):
        return [_plain(state, item) for item in value]
    return value


def _member(state: State, value: Any, below: list[list[str]]) -> Any:
    deeper = [path for path in below if path]
    if isinstance(value, str) and value in state.objects:
        return _render(state, state.objects[value], deeper)
    if isinstance(value, dict):
        return _render(state, value, deeper)
    if isinstance(value, list):
        return [_member(state, item, deeper) for item in value]
    return value


def page(
    state: State,
    found: list[dict[str, Any]],
    params: dict[str, Any],
    *,
    url: str,
) -> dict[str, Any]:
    """Return a list object with a cursor (docs.stripe.com/api/pagination)."""
    limit = int(params.get("limit", 10))
    if not 1 <= limit <= 100:  # noqa: PLR2004 - Stripe's limit
        raise invalid("This value must be between 1 and 100.", param="limit")
    if after := params.get("starting_after"):
        ids = [obj["id"] for obj in found]
        if after not in ids:
            raise invalid(f"No such object: '{after}'", param="starting_after", code="resource_missing")
        found = found[ids.index(after) + 1 :]
    elif before := params.get("ending_before"):
        ids = [obj["id"] for obj in found]
        if before not in ids:
            raise invalid(f"No such object: '{before}'", param="ending_before", code="resource_missing")
        found = found[max(0, ids.index(before) - limit) : ids.index(before)]
    expand = [path.removeprefix("data.") for path in params.get("expand", []) if path.startswith("data.")]
    data = [render(state, obj, expand=expand) for obj in found[:limit]]
    return {"object": "list", "url": url, "has_more": len(found) > limit, "data": data}
