"""Whether Stripe answers: asked at most once a second by all processes with the same Stripe key together.

The first process of a second takes the turn in Redis, asks, and leaves the answer there; the others read it, or wait
for it while there is none. A process whose Redis is away asks for itself, once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from payment_service.caching.circuit_breaker import Circuit, CircuitOpen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.caching.redis import RedisClient, Script

TURN_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 3.0
"""How long an answer is read by others: a turn, a check that takes all of its time, and a little more."""
WAIT_SECONDS: Final = 1.5
POLL_SECONDS: Final = 0.05
_TURN: Final = """
if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then
  return 'turn'
end
return redis.call('GET', KEYS[2])
"""


class StripeCheck:
    """The shared answer.

    Args:
        answers: whether Stripe answers; takes `WAIT_SECONDS` at most.
        redis: the client; None: this process asks for itself.
        account: a name of Stripe's address and key: pods of a release with another key do not read these answers.
    """

    def __init__(
        self, answers: Callable[[], Awaitable[bool]], *, redis: RedisClient | None, account: Callable[[], str]
    ) -> None:
        self._answers = answers
        self._redis = redis
        self._account = account
        self._circuit = Circuit()
        self._turn = None if redis is None else redis.register_script(_TURN)
        self._lock = asyncio.Lock()
        self._seen: tuple[float, bool] = (float("-inf"), False)

    async def passes(self) -> bool:
        """Return whether Stripe answered within the last seconds."""
        async with self._lock:
            if self._redis is not None and self._turn is not None:
                with contextlib.suppress(CircuitOpen):
                    return await self._shared(self._redis, self._turn)
            return await self._alone()

    async def _alone(self) -> bool:
        seen, passed = self._seen
        if time.monotonic() - seen < TURN_SECONDS:
            return passed
        began = time.monotonic()
        passed = await self._answers()
        self._seen = (began, passed)
        return passed

    async def _shared(self, redis: RedisClient, take_turn: Script) -> bool:
        turn, answer = (f"payments:{{health}}:{self._account()}:{name}" for name in ("turn", "answer"))
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            async with self._circuit.asking():
                found = await take_turn(keys=[turn, answer], args=[int(TURN_SECONDS * 1000)])
            if found == b"turn":
                return await self._check_for_all(redis, answer)
            if found is not None:
                return bool(found == b"1")
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)

    async def _check_for_all(self, redis: RedisClient, answer: str) -> bool:
        passed = await self._alone()
        with contextlib.suppress(CircuitOpen):
            async with self._circuit.asking():
                await redis.set(answer, int(passed), px=int(KEPT_SECONDS * 1000))
        return passed
