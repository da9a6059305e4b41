"""Answers that are read often: remembered in this process, then in Redis, forgotten within a second of a change.

A commit that changes a row forgets it in its own process at once, deletes it from Redis and tells every other process
(`caching/invalidation.py`). Three rules keep a stale answer from surviving that:

- A read that began before a change is told of is not remembered here, nor in Redis: there its lease is gone.
- Without word from Redis for `TRUST_SECONDS`, an entry here counts for `DOUBTED_SECONDS` and Redis's copy not at all.
- After a gap in the messages everything from before it is dropped.

So an answer is at most a second old, with Redis and without. One case is only bounded by the entries' age (10 s here,
20 s in Redis): the process that committed was killed, or cut off from Redis alone, before it could tell.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from payment_service.caching.circuit_breaker import CircuitOpen
from payment_service.observability.metrics import CACHE_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from payment_service.caching.invalidation import Invalidations

FRESH_SECONDS: Final = 10.0
DOUBTED_SECONDS: Final = 0.9
SHARED_MILLISECONDS: Final = 20_000
LARGEST_BYTES: Final = 8192
_STAMP: Final = 16

_GET: Final = """
local value = redis.call('GET', KEYS[1])
if value and string.sub(value, 1, 16) >= ARGV[1] then
  return value
end
local moment = redis.call('TIME')
local stamp = string.format('%016d', moment[1] * 1000000 + moment[2])
redis.call('SET', KEYS[2], stamp, 'PX', 2000)
return stamp
"""
"""Returns the stamp and the value, or a lease (a stamp alone) with which a value may be stored."""
_PUT: Final = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[2])
end
"""
_HIT: Final = CACHE_REQUESTS.labels("hit")
_HIT_SHARED: Final = CACHE_REQUESTS.labels("hit_shared")
_MISS: Final = CACHE_REQUESTS.labels("miss")


class ReadCache:
    """Answers by key, in two levels.

    Args:
        invalidations: tells of changes; without it (no Redis, so no way to hear of other processes) nothing is
            remembered.
        entries: how many answers this process remembers.
        share: the right to the database connection that a read takes.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        invalidations: Invalidations | None,
        *,
        entries: int,
        share: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invalidations = invalidations
        self._entries_kept = entries
        self._share = share
        self._monotonic = monotonic
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._loading: dict[str, asyncio.Future[bytes]] = {}
        self.enabled = invalidations is not None and entries > 0
        if self.enabled and invalidations is not None:
            client = invalidations.client
            self._get, self._put = client.register_script(_GET), client.register_script(_PUT)
            invalidations.on_forget, invalidations.on_gap = self.forget, self.clear

    def look_up(self, key: str) -> bytes | None:
        """Return what this process remembers; asks nobody."""
        if not self.enabled:
            return None
        assert self._invalidations is not None
        trusted = self._invalidations.listening()
        entry = self._entries.get(key)
        if entry is None or self._monotonic() - entry[0] >= (FRESH_SECONDS if trusted else DOUBTED_SECONDS):
            return None
        self._entries.move_to_end(key)
        _HIT.inc()
        return entry[1]

    async def load(self, key: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the answer from Redis, or from `read`, which many who ask at once share."""
        if not self.enabled:
            return await read()
        loading = self._loading.get(key)
        if loading is not None:
            return await asyncio.shield(loading)
        async with self._share():  # of the caller who begins; the read then waits for no share, nor who joins it
            loading = self._loading.get(key)
            if loading is None:
                loading = self._loading[key] = asyncio.ensure_future(self._load(key, read))
                loading.add_done_callback(_observe)
            return await asyncio.shield(loading)

    async def _load(self, key: str, read: Callable[[], Awaitable[bytes]]) -> bytes:
        mine, began = asyncio.current_task(), self._monotonic()
        try:
            found, lease = await self._get_from_redis(key)
            if found is None:
                _MISS.inc()
                found = await read()
                await self._put_in_redis(key, found, lease)
            else:
                _HIT_SHARED.inc()
            if self._loading.get(key) is mine and len(found) <= LARGEST_BYTES:
                self._remember(key, found, began)
        finally:
            if self._loading.get(key) is mine:
                del self._loading[key]
        return found

    def _remember(self, key: str, answer: bytes, began: float) -> None:
        self._entries[key] = (began, answer)
        self._entries.move_to_end(key)
        while len(self._entries) > self._entries_kept:
            self._entries.popitem(last=False)

    async def _get_from_redis(self, key: str) -> tuple[bytes | None, bytes | None]:
        """Return the answer, or the lease to store one with; neither while Redis cannot be trusted."""
        link = self._invalidations
        if link is None or not link.listening():
            return None, None
        try:
            async with link.circuit.asking():
                answer = await self._get(keys=shared_keys(key), args=[link.since])
        except CircuitOpen:
            return None, None
        assert isinstance(answer, bytes)
        return (answer[_STAMP:], None) if len(answer) > _STAMP else (None, answer)

    async def _put_in_redis(self, key: str, answer: bytes, lease: bytes | None) -> None:
        link = self._invalidations
        if link is None or lease is None or len(answer) > LARGEST_BYTES:
            return
        try:
            async with link.circuit.asking():
                await self._put(keys=shared_keys(key), args=[lease, answer, SHARED_MILLISECONDS])
        except CircuitOpen:
            return

    def forget(self, keys: Iterable[str]) -> None:
        """Forget what changed; reads of it that are under way will not be remembered."""
        for key in keys:
            self._entries.pop(key, None)
            self._loading.pop(key, None)

    def clear(self) -> None:
        """Forget everything: changes may have been missed."""
        self._entries.clear()
        self._loading.clear()


def shared_keys(key: str) -> list[str]:
    """Return the names of the value and its lease in Redis; the hash tag keeps them on one node of a cluster."""
    return [f"payments:cache:{{{key}}}", f"payments:cache:{{{key}}}:lease"]


def _observe(loading: asyncio.Future[bytes]) -> None:
    """Look at the outcome, so that asyncio does not complain when nobody waits any more."""
    if not loading.cancelled():
        loading.exception()
