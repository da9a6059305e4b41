"""Rate limits: at most N of a kind in any minute for one address.

A sliding log, not a token bucket: GCRA with a burst of N would let nearly 2 N through in a minute.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS: Final = 60.0
MAXIMUM_SUBJECTS: Final = 10_000


class Decision(NamedTuple):
    """What the limiter says of one request."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float
    """Until one more request is allowed (when refused) or the window is empty."""


class Limiter(Protocol):
    """Decides and counts in one step."""

    async def check(self, name: str, subject: str, *, limit: int) -> Decision:
        """Count one request of `subject` against the limit called `name`."""


class LocalLimiter:
    """In this process's memory: for development, and for one process only.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._logs: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    async def check(self, name: str, subject: str, *, limit: int) -> Decision:
        """Count one request; refused ones are not counted."""
        now = self._monotonic()
        log = self._logs.setdefault((name, subject), deque())
        self._logs.move_to_end((name, subject))
        while len(self._logs) > MAXIMUM_SUBJECTS:
            self._logs.popitem(last=False)
        while log and log[0] <= now - WINDOW_SECONDS:
            log.popleft()
        if len(log) >= limit:
            return Decision(allowed=False, limit=limit, remaining=0, reset_seconds=log[0] + WINDOW_SECONDS - now)
        log.append(now)
        return Decision(allowed=True, limit=limit, remaining=limit - len(log), reset_seconds=WINDOW_SECONDS)
