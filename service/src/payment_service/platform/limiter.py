"""Rate limits: at most N of a kind in any minute for one address.

A sliding log, not a token bucket: GCRA with a burst of N would let nearly 2 N through in a minute.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from payment_service.platform.metrics import LIMITER_DECISIONS
from payment_service.platform.redis import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS: Final = 60.0
MAXIMUM_SUBJECTS: Final = 10_000
TIMEOUT_SECONDS: Final = 0.05
PAUSE_SECONDS: Final = 1.0


class Decision(NamedTuple):
    """What the limiter says of one request."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float
    """Until one more request is allowed (when refused) or the window is empty."""


_SLIDING_LOG: Final = """
local moment = redis.call('TIME')
local now = moment[1] * 1000000 + moment[2]
local window = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local held = redis.call('ZCARD', KEYS[1])
if held >= tonumber(ARGV[2]) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {0, held, tonumber(oldest[2]) + window - now}
end
redis.call('ZADD', KEYS[1], now, now .. ':' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {1, held + 1, window}
"""
"""One round trip, atomic in the server (valkey.io/topics/eval-intro); the server's clock, so that pods agree."""


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


class RedisLimiter:
    """Shared by all pods, in Redis.

    By stated choice it fails open: without Redis requests are allowed and counted as `open`. After a failure Redis is
    left alone for a second, so that an outage adds at most `TIMEOUT_SECONDS` to one request a second.
    """

    def __init__(self, client: Any) -> None:
        self._script = client.register_script(_SLIDING_LOG)
        self._closed_until = float("-inf")

    async def check(self, name: str, subject: str, *, limit: int) -> Decision:
        """Count one request; refused ones are not counted."""
        if time.monotonic() >= self._closed_until:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    arguments = [int(WINDOW_SECONDS * 1_000_000), limit, secrets.token_hex(4)]
                    allowed, held, wait = await self._script(keys=[f"payments:limit:{name}:{subject}"], args=arguments)
                return Decision(
                    allowed=bool(allowed), limit=limit, remaining=max(0, limit - held), reset_seconds=wait / 1_000_000
                )
            except UNAVAILABLE:
                self._closed_until = time.monotonic() + PAUSE_SECONDS
        LIMITER_DECISIONS.labels("open").inc()
        return Decision(allowed=True, limit=limit, remaining=limit, reset_seconds=WINDOW_SECONDS)
