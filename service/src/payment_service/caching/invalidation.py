"""Tells every process of changes, over Redis's publish and subscribe, and knows how far that can be trusted.

A process that reads listens on one connection and pings over it: as long as answers come, no message was lost. One that
writes deletes the changed entries from Redis, then publishes them, and tries again until it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.caching.cache import shared_keys
from payment_service.caching.redis import UNAVAILABLE
from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from payment_service.caching.circuit_breaker import Circuit
    from payment_service.caching.redis import Channel, Message, RedisClient

CHANNEL: Final = "payments:changed"
PING_SECONDS: Final = 0.2
TRUST_SECONDS: Final = 0.7
RETRY_SECONDS: Final = 0.2
SEND_SECONDS: Final = 1.0
BATCH: Final = 500
MAXIMUM_QUEUED: Final = 100_000

log = structlog.get_logger("payment_service.cache")


class Invalidations:
    """The link of one process to the others.

    Args:
        client: of Redis.
        circuit: Redis's, shared with the limiter.
    """

    def __init__(self, client: RedisClient, *, circuit: Circuit) -> None:
        self.client = client
        self.circuit = circuit
        self.on_forget: Callable[[Iterable[str]], None] = _nothing
        self.on_gap: Callable[[], None] = _nothing
        self.since = ""
        """Redis's time of the subscription, in microseconds: older entries there may have missed a change."""
        self._heard = float("-inf")
        self._listener: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._queued: dict[str, None] = {}
        self._closing = False

    def listening(self) -> bool:
        """Tell whether changes are heard of within a second; the first call begins to listen."""
        if self._listener is None and not self._closing:
            self._listener = begin(self._listen())
        return time.monotonic() - self._heard < TRUST_SECONDS

    def publish(self, keys: Iterable[str]) -> None:
        """Forget `keys` here, and in every other process as soon as Redis takes it; waits for nothing."""
        changed = list(keys)
        self.on_forget(changed)
        self._queued.update(dict.fromkeys(changed))
        while len(self._queued) > MAXIMUM_QUEUED:
            self._queued.pop(next(iter(self._queued)))
        if self._sender is None and self._queued:
            self._sender = begin(self._send())

    async def close(self) -> None:
        """Send what is queued, for a moment, and stop."""
        self._closing = True
        if self._sender is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SEND_SECONDS):
                    await asyncio.shield(self._sender)
        await end(task for task in (self._sender, self._listener) if task is not None)

    async def _send(self) -> None:
        try:
            while self._queued:
                batch = list(self._queued)[:BATCH]
                if await self._send_batch(batch):
                    for key in batch:
                        self._queued.pop(key, None)
                else:
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._sender = None

    async def _send_batch(self, keys: list[str]) -> bool:
        """Delete first, then tell: who hears of it must not find the old entry."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.client.delete(*(name for key in keys for name in shared_keys(key)))
                await self.client.publish(CHANNEL, " ".join(keys))
        except UNAVAILABLE as error:
            log.warning("invalidation_waits", keys=len(self._queued), error=type(error).__name__)
            return False
        return True

    async def _listen(self) -> None:
        while True:
            self.since = ""
            try:
                await self.client.initialize()  # a cluster's client must know its nodes before it can subscribe
                async with self.client.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    await self._hear(channel)
            except Exception as error:  # noqa: BLE001 - whatever the library raises, the next attempt may do
                log.warning("invalidation_not_heard", error=type(error).__name__)
            self._heard = float("-inf")
            await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self, channel: Channel) -> None:
        """Take messages and answers to pings until none come any more.

        What counts is when an answered ping was sent: its answer may have lain here for a while when it is read.

        Raises:
            TimeoutError: a ping was not answered for `TRUST_SECONDS`.
        """
        asked: float | None = None
        last = float("-inf")
        while True:
            now = time.monotonic()
            if asked is None and now - last >= PING_SECONDS:
                await channel.ping()
                asked = last = now
            message = await channel.get_message(ignore_subscribe_messages=False, timeout=PING_SECONDS)
            if message is None:
                if asked is not None and time.monotonic() - asked >= TRUST_SECONDS:
                    raise TimeoutError
            elif message["type"] == "pong":
                if asked is not None and self.since:
                    self._heard = asked
                asked = None
            else:
                await self._take(message)

    async def _take(self, message: Message) -> None:
        if message["type"] == "subscribe":
            # also after the client has connected anew by itself: what was published meanwhile is lost
            self._heard = float("-inf")
            self.on_gap()
            async with asyncio.timeout(TRUST_SECONDS):
                seconds, microseconds = await self.client.time()
            self.since = f"{seconds * 1_000_000 + microseconds:016d}"
        elif message["type"] == "message":
            self.on_forget(message["data"].decode().split(" "))


def _nothing(*_: object) -> None:
    """Stand in until a cache listens."""
