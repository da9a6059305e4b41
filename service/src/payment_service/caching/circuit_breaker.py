"""Leaves a part alone for a moment after it failed, so that its outage costs each request little.

The limiter and the cache share Redis's circuit: a request that one of them did not answer does not wait for the
other.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from payment_service.caching.redis import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT_SECONDS: Final = 0.05
PAUSE_SECONDS: Final = 1.0


class CircuitOpen(Exception):
    """Redis did not answer in time, or has not a moment ago."""


class Circuit:
    """Redis's circuit of one process."""

    def __init__(self) -> None:
        self._open_until = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether asking is worth while."""
        return time.monotonic() >= self._open_until

    def open(self) -> None:
        """Leave Redis alone for `PAUSE_SECONDS`."""
        self._open_until = time.monotonic() + PAUSE_SECONDS

    @asynccontextmanager
    async def asking(self, *, patience: float | None = None) -> AsyncIterator[None]:
        """Ask Redis within `TIMEOUT_SECONDS`.

        Args:
            patience: ask within so many seconds instead, also when it was away a moment ago: no request waits for this.

        Raises:
            CircuitOpen: it is away.
        """
        if patience is None and not self.closed:
            raise CircuitOpen
        try:
            async with asyncio.timeout(patience or TIMEOUT_SECONDS):
                yield
        except UNAVAILABLE as error:
            if patience is None:
                self.open()
            raise CircuitOpen from error
