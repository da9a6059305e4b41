"""How many requests one caller may have under way in a process at once.

All requests share its database connections and its one thread, so a caller that sends hundreds at once would have the
others wait, or be answered 503. What is beyond the bound is refused before it costs either (429 `too_many_in_flight`).
What is within it takes the database's connections in the caller's share (`shares.py`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from payment_service.errors import TooManyInFlight
from payment_service.observability.metrics import IN_FLIGHT_REFUSED
from payment_service.shares import Holder, counting_for

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRY_AFTER_SECONDS: Final = 1.0


class InFlight:
    """Counts what is under way, by caller.

    Args:
        limit: of one caller; 0: any number.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[tuple[str, str], int] = {}

    @contextmanager
    def one(self, caller: str, subject: str) -> Iterator[None]:
        """Count a request for as long as the block lasts.

        Args:
            caller: the kind that the metric names: `key`, `address`, `admin`.
            subject: which one of this kind.

        Raises:
            TooManyInFlight: as many are under way already.
        """
        counted = (caller, subject)
        count = self._counts.get(counted, 0)
        if self._limit and count >= self._limit:
            IN_FLIGHT_REFUSED.labels(caller).inc()
            raise TooManyInFlight(
                f"At most {self._limit} requests of one caller at once; send the next one when one is answered",
                retry_after=RETRY_AFTER_SECONDS,
            )
        self._counts[counted] = count + 1
        try:
            with counting_for(Holder(caller, subject)):
                yield
        finally:
            self._counts[counted] -= 1
            if not self._counts[counted]:
                del self._counts[counted]
