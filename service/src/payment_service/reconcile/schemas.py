"""What a run of reconciliation found, and what can be asked of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal

import msgspec

from payment_service.platform.moments import Moment, check_moment


class Report(msgspec.Struct, kw_only=True):
    """What a run found."""

    looked_at: int = 0
    """Events and objects that Stripe listed."""
    missed: dict[str, int] = {}
    """Events that no webhook had brought, by kind of object."""
    drifted: dict[str, int] = {}
    """Objects that differed from their rows, by kind."""
    skipped: list[str] = []
    """Kinds that Stripe would not list for the configured key."""

    def add(
        self, *, looked_at: int = 0, missed: Counter[str] | None = None, drifted: Counter[str] | None = None
    ) -> None:
        """Add what a part of the run found."""
        self.looked_at += looked_at
        self.missed = dict(Counter(self.missed) + (missed or Counter()))
        self.drifted = dict(Counter(self.drifted) + (drifted or Counter()))


class ReconcileRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
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
    since: datetime | None
    full: bool
