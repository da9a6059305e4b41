"""LISTEN and NOTIFY, or Redis: wake the workers when events were stored, and who waits for events of ours.

Where the database tells nobody, as MariaDB, Redis does.
They save waiting only (postgresql.org/docs/current/sql-notify.html): who misses one finds the row at the next poll. So
a notification is sent beside the transaction, not in it, where it would let one commit at a time through; and at most
one is under way in a process.
"""

from __future__ import annotations

import asyncio
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from payment_service.caching.redis import RedisClient
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.database import Database
    from payment_service.storage.dialects.interface import Subscription

CHANNEL: Final = "payments_inbox"
FEED_CHANNEL: Final = "payments_feed"
PAUSE_SECONDS: Final = 0.05
"""Between two notifications of a process."""
RECONNECT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 1.0
CHECK_EVERY: Final = 30
"""Looks at the connection for one question to the server, which finds out about a silent network."""

log = structlog.get_logger("payments")


class Notifier:
    """Tells those who listen that there is something to do; does nothing where nobody would tell."""

    def __init__(self, database: Database, *, channel: str = CHANNEL) -> None:
        self._database = database
        self._channel = channel
        self._wanted = False
        self._sending: asyncio.Task[None] | None = None

    def notify(self) -> None:
        """Send soon; the caller does not wait."""
        if not (self._database.dialect.notifies or self._database.bell):
            return
        self._wanted = True
        if self._sending is None:
            self._sending = begin(self._send_wanted())

    async def send(self) -> None:
        """Send, and wait until it is sent, or lost: what it tells of is committed, whatever becomes of it."""
        self.notify()
        await self.finish()

    async def finish(self) -> None:
        """Wait until what is to be sent is sent, or lost."""
        if self._sending is not None:
            await self._sending

    async def _send(self) -> None:
        if self._database.dialect.notifies:
            async with self._database.read() as connection:
                await connection.execute(self._database.dialect.notification(self._channel))
        elif self._database.bell is not None:
            await self._database.bell.publish(self._channel, "")

    async def _send_wanted(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                await self._send()
                await asyncio.sleep(PAUSE_SECONDS)
        except Exception as error:  # noqa: BLE001 - the workers' polling makes up for it
            log.warning("notification_lost", error=type(error).__name__)
        finally:
            self._sending = None

    async def close(self) -> None:
        """Send no more."""
        if self._sending is not None:
            await end([self._sending])


class Listener:
    """Calls back for every notification, on a connection of its own that is opened again when it breaks.

    Args:
        listen: calls back, given what to call, until the event, or raises when the connection breaks; None: there is
            nothing to listen to.
    """

    def __init__(self, listen: Callable[[Callable[[], None], asyncio.Event], Awaitable[None]] | None) -> None:
        self._listen = listen

    @classmethod
    def to(
        cls,
        database: Database,
        *,
        settings: DatabaseSettings,
        channel: str = CHANNEL,
        beside: Mapping[str, Callable[[], None]] = MappingProxyType({}),
    ) -> Listener:
        """Listen to a database, or to the Redis beside it, if either tells anybody.

        Args:
            database: to listen to.
            settings: of the connection.
            channel: whose notifications `run` calls back for.
            beside: further channels over the same connection, with what to call for each.
        """
        if database.dialect.notifies:
            return cls(partial(_listen, partial(_subscribe, database, settings), channel, beside))
        return cls(None if database.bell is None else partial(_listen_to_redis, database.bell, channel, beside))

    async def run(self, wake: Callable[[], None], *, stopping: asyncio.Event) -> None:
        """Listen until `stopping`."""
        while self._listen is not None and not stopping.is_set():
            try:
                await self._listen(wake, stopping)
            except Exception as error:  # noqa: BLE001 - the polling makes up for it
                log.warning("listening_interrupted", error=type(error).__name__)
                await _wait(stopping, RECONNECT_SECONDS)


def _subscribe(
    database: Database, settings: DatabaseSettings, wakes: Mapping[str, Callable[[], None]]
) -> Awaitable[Subscription]:
    return database.dialect.subscribe(settings.url, settings=settings, wakes=wakes)


async def _listen(
    subscribe: Callable[[Mapping[str, Callable[[], None]]], Awaitable[Subscription]],
    channel: str,
    beside: Mapping[str, Callable[[], None]],
    wake: Callable[[], None],
    stopping: asyncio.Event,
) -> None:
    wakes = {channel: wake, **beside}
    subscription = await subscribe(wakes)
    try:
        for told in wakes.values():
            told()
        checks = 0
        while not await _wait(stopping, LOOK_SECONDS) and not subscription.is_lost():
            checks += 1
            if checks % CHECK_EVERY == 0:
                await subscription.check()
    finally:
        subscription.end()


async def _listen_to_redis(
    client: RedisClient,
    channel: str,
    beside: Mapping[str, Callable[[], None]],
    wake: Callable[[], None],
    stopping: asyncio.Event,
) -> None:
    hearing, stopped = begin(_hear(client, {channel: wake, **beside})), begin(stopping.wait())
    try:
        await asyncio.wait((hearing, stopped), return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            hearing.result()
    finally:
        await end((hearing, stopped))


async def _hear(client: RedisClient, wakes: Mapping[str, Callable[[], None]]) -> None:
    """Call back for what comes, the subscription itself too: what was told before is not heard any more.

    Raises:
        TimeoutError: a ping was not answered for `LOOK_SECONDS`.
    """
    await client.initialize()  # a cluster's client must know its nodes before it can subscribe
    async with client.pubsub() as heard:
        await heard.subscribe(*wakes)
        asked = False
        while True:
            message = await heard.get_message(ignore_subscribe_messages=False, timeout=LOOK_SECONDS)
            if message is None:
                if asked:
                    raise TimeoutError
                await heard.ping()
            elif message["channel"] is not None:
                wakes[message["channel"].decode()]()
            asked = message is None


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event or so many seconds; tell whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
