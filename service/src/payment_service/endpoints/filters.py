"""Of what types of events an endpoint gets."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from payment_service.errors import Unprocessable
from payment_service.feed.filters import ALL_TYPES, wanted_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ANY: Final = ".*"
"""How a pattern ends that means all types of a kind."""
_KINDS: Final = frozenset(known.partition(".")[0] + ANY for known in ALL_TYPES)


def check_types(types: Iterable[str]) -> None:
    """Hold patterns to the types that there are.

    Raises:
        Unprocessable: there is no such type; the message names the nearest one.
    """
    for wanted in types:
        if wanted not in ALL_TYPES and wanted not in _KINDS:
            near = get_close_matches(wanted, sorted(ALL_TYPES | _KINDS), n=1)
            message = f"there is no type {wanted}" + (f"; did you mean {near[0]}?" if near else "")
            raise Unprocessable(f"event_types: {message}", errors=[{"field": "event_types", "message": message}])


def known_types(types: Sequence[str]) -> tuple[str, ...] | None:
    """Return those of an endpoint's types that there are in this version; None: it wants some, and none of them is."""
    known = tuple(wanted for wanted in types if wanted in ALL_TYPES or wanted in _KINDS)
    return None if types and not known else known


def types_of_both(types: Sequence[str], asked: Sequence[str]) -> tuple[str, ...] | None:
    """Return the types that an endpoint wants and a replay was asked for; empty: all; None: there is none."""
    known = [known_types(one) for one in (types, asked)]
    both = ALL_TYPES
    for one in known:
        if one is None:
            return None
        both &= wanted_types(one)
    return () if both == ALL_TYPES else tuple(sorted(both)) or None
