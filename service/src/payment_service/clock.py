"""The one source of time, so that tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The wall clock."""

    def timestamp(self) -> float:
        """Return seconds since the Unix epoch."""
        return time.time()

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return datetime.fromtimestamp(self.timestamp(), tz=UTC)


class MovableClock(Clock):
    """A clock for tests: another clock, by default the wall clock, plus what `advance` added."""

    def __init__(self, base: Clock | None = None) -> None:
        self._base = base or Clock()
        self._offset = 0.0

    def timestamp(self) -> float:
        """Return seconds since the Unix epoch, moved."""
        return self._base.timestamp() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self._offset += seconds


def isoformat(moment: datetime) -> str:
    """Format `moment` as RFC 3339 in UTC with the suffix Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
