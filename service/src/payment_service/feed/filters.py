"""Which events a reader wants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from payment_service.errors import Unprocessable
from payment_service.feed.kinds import BY_OBJECT_TYPE

OTHER: Final = "other"
"""In place of the kind, of an event whose object cannot be shown."""
OTHER_UPDATED: Final = f"{OTHER}.updated"
TYPES: Final = {
    name: frozenset(f"{kind.name}.{rule.type}" for rule in kind.all_rules()) for name, kind in BY_OBJECT_TYPE.items()
}
"""All types, by the outbox's name of what a row tells of."""
ALL_TYPES: Final = frozenset({OTHER_UPDATED}).union(*TYPES.values())


REMEMBERED: Final = 256
"""Choices of types for which it is remembered what they stand for; a reader asks with the same one again and again."""


@dataclass(frozen=True)
class Filters:
    """Which events are wanted."""

    types: tuple[str, ...] = ()
    """Of these types, or of those that begin as `invoice.*` says; empty: of any."""
    object_id: str | None = None
    """Of this object."""

    @property
    def object_types(self) -> tuple[str, ...] | None:
        """The outbox's names of the kinds that have such types; None: of any, also of those that are not known here.

        Raises:
            Unprocessable: there is no such type.
        """
        return _object_types(self.types)

    def wants(self, event_type: str, *, object_type: str, certain: bool) -> bool:
        """Tell whether an event passes.

        Args:
            event_type: what it is called.
            object_type: the outbox's name of what it tells of.
            certain: whether it is called so for sure; else it may be of any type of its kind.
        """
        wanted = wanted_types(self.types)
        if event_type in wanted:
            return True
        return not certain and bool(TYPES.get(object_type, frozenset()) & wanted)


@lru_cache(maxsize=REMEMBERED)
def wanted_types(types: tuple[str, ...]) -> frozenset[str]:
    """Return the types that these, and what they begin with, stand for.

    Raises:
        Unprocessable: there is no such type.
    """
    if not types:
        return ALL_TYPES
    found: set[str] = set()
    for wanted in dict.fromkeys(types):
        fitting = {known for known in ALL_TYPES if _fits(known, wanted)}
        if not fitting:
            message = f"there is no type {wanted}"
            raise Unprocessable(f"types: {message}", errors=[{"field": "types", "message": message}])
        found |= fitting
    return frozenset(found)


@lru_cache(maxsize=REMEMBERED)
def _object_types(types: tuple[str, ...]) -> tuple[str, ...] | None:
    wanted = wanted_types(types)
    if OTHER_UPDATED in wanted:
        return None
    return tuple(sorted(name for name, of_kind in TYPES.items() if of_kind & wanted))


def _fits(event_type: str, wanted: str) -> bool:
    return event_type.startswith(wanted[:-1]) if wanted.endswith("*") else event_type == wanted
