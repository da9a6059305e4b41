"""Lists: cursors, `created` ranges, filters by members (docs.stripe.com/api/pagination)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid
from stripe_simulator.parameters import absent, integer, listed
from stripe_simulator.rendering import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stripe_simulator.state import State

PAGING = frozenset({"limit", "starting_after", "ending_before", "expand"})
MAXIMUM_LIMIT = 100
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def in_range(params: dict[str, Any], name: str = "created") -> Callable[[dict[str, Any]], bool]:
    """Return the test of a range filter: a timestamp, or `gt`, `gte`, `lt`, `lte`."""
    wanted = params.get(name)
    if absent(wanted):
        return lambda _: True
    if not isinstance(wanted, dict):
        exact = integer(params, name)
        return lambda obj: obj[name] == exact
    if unknown := sorted(wanted.keys() - _COMPARISONS.keys()):
        raise invalid(f"Received unknown parameter: {name}[{unknown[0]}]", param=name, code="parameter_unknown")
    bounds = [(_COMPARISONS[sign], integer(wanted, sign) or 0) for sign in wanted]
    return lambda obj: all(holds(obj[name], bound) for holds, bound in bounds)


def page(
    state: State,
    kind: str,
    params: dict[str, Any],
    *,
    url: str,
    keep: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """Return one page of the objects of a kind, newest first (docs.stripe.com/api/pagination).

    A cursor is a place in the whole list: its object need not pass the filter.
    """
    limit = integer(params, "limit", default=10, least=1, most=MAXIMUM_LIMIT) or 1
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid("You cannot use both starting_after and ending_before.", param="ending_before")
    if before:
        newer = [obj for obj in _until(state, kind, str(before)) if keep(obj)]
        data, more = newer[-limit:], len(newer) > limit
    else:
        chosen = list(islice(filter(keep, _from(state, kind, after)), limit + 1))
        data, more = chosen[:limit], len(chosen) > limit
    expand = [path.removeprefix("data.") for path in listed(params, "expand") if path.startswith("data.")]
    shown = [render(state, obj, expand=expand) for obj in data]
    return {"object": "list", "data": shown, "has_more": more, "url": url}


def _present(state: State, kind: str) -> Iterator[dict[str, Any]]:
    return (obj for obj in state.newest(kind) if "deleted" not in obj)


def _from(state: State, kind: str, after: str | None) -> Iterator[dict[str, Any]]:
    iterator = _present(state, kind)
    if after and not any(obj["id"] == after for obj in iterator):
        raise invalid(f"No such {kind}: '{after}'", param="starting_after", code="resource_missing")
    return iterator


def _until(state: State, kind: str, before: str) -> list[dict[str, Any]]:
    newer: list[dict[str, Any]] = []
    for obj in _present(state, kind):
        if obj["id"] == before:
            return newer
        newer.append(obj)
    raise invalid(f"No such {kind}: '{before}'", param="ending_before", code="resource_missing")
