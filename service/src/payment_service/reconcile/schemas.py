"""What a run of reconciliation found, and what can be asked of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from payment_service.http.strict_json import NotStrictJson, storable
from payment_service.http.timestamps import Moment, check_moment

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject


class Report(msgspec.Struct, kw_only=True):
    """What a run found."""

    looked_at: int = 0
    """Events and objects that Stripe listed."""
    missed: dict[str, int] = {}
    """Events that no webhook had brought, by kind of object."""
    drifted: dict[str, int] = {}
    """Objects that differed from their rows, by kind."""
    skipped: list[str] = []
    """Kinds that Stripe would not list for the configured key, or whose list cannot be read."""

    def add(
        self, *, looked_at: int = 0, missed: Counter[str] | None = None, drifted: Counter[str] | None = None
    ) -> None:
        """Add what a part of the run found."""
        self.looked_at += looked_at
        self.missed = dict(Counter(self.missed) + (missed or Counter()))
        self.drifted = dict(Counter(self.drifted) + (drifted or Counter()))


class ReconcileRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look at, beside what is due anyway."""

    since: Moment | None = None
    """Read Stripe's events again from here; it keeps them for 30 days."""
    full: bool = False
    """Also list every object and compare it with its row."""

    def __post_init__(self) -> None:
        """Check the moment."""
        if self.since is not None:
            check_moment(self.since, field="since")


class ReconcileAccepted(msgspec.Struct, kw_only=True):
    """A worker runs it within seconds."""

    status: Literal["scheduled"] = "scheduled"
    """A worker will run it."""
    since: datetime | None
    """From where Stripe's events are read again; null: from where they were read to."""
    full: bool
    """Whether every object is listed and compared, too."""


def readable(obj: JsonObject) -> JsonObject:
    """Return what Stripe listed, as it can be stored; of what never can be, what says which one it is.

    That is not mistaken for the whole: without a kind it is dead in the inbox.
    """
    try:
        return storable(obj)
    except NotStrictJson:
        named = {name: obj[name] for name in ("id", "type") if isinstance(obj.get(name), str)}
        return {**named, "object": []}
