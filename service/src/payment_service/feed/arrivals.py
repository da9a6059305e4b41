"""Lets any number of readers wait for new events without a connection to the database of their own.

While anybody waits, one task of the process looks for the newest number: when it is told of new events, else once a
second. A process that drains lets nobody wait, so that streams end at once and their clients go to another one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.feed import store
from payment_service.feed.sequencer import POLL_SECONDS
from payment_service.storage.notifications import FEED_CHANNEL, Listener
from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from payment_service.config.settings import DatabaseSettings
    from payment_service.feed.sequencer import Sequencer
    from payment_service.http.drain import DrainState
    from payment_service.storage.database import Database

LINGER_SECONDS: Final = 30.0
"""For which the task goes on when nobody waits any more: a reader comes again soon."""

log = structlog.get_logger("payments")


class Arrivals:
    """Tells waiting readers of new events.

    Args:
        database: the feed.
        sequencer: gives rows their numbers.
        settings: of the connection on which the database tells of events.
        drain: whether this process still lets anybody wait.
    """

    def __init__(
        self, database: Database, sequencer: Sequencer, *, settings: DatabaseSettings, drain: DrainState
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._listener = Listener.to(database, settings=settings, channel=FEED_CHANNEL)
        self._drain = drain
        self._last = 0
        self._changed = asyncio.Event()
        self._woken = asyncio.Event()
        self._waiting = 0
        self._watching: asyncio.Task[None] | None = None
        sequencer.on_numbered.append(self._woken.set)
        drain.on_closing.append(self._announce)

    @property
    def closing(self) -> bool:
        """Whether nobody may wait."""
        return self._drain.closing_connections

    async def beyond(self, sequence: int, *, seconds: float) -> bool:
        """Wait until there is a higher number, at most so long; False: there is none, or this process drains."""
        if self._watching is None:
            self._watching = begin(self._watch())
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not (self.closing or self._last > sequence):
                        changed = self._changed
                        await changed.wait()
        finally:
            self._waiting -= 1
        return self._last > sequence and not self.closing

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(self) -> None:
        stopping = asyncio.Event()
        listening = begin(self._listener.run(self._woken.set, stopping=stopping))
        idle = 0.0
        try:
            while idle < LINGER_SECONDS and not self.closing:
                self._woken.clear()
                await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._woken.wait()
                idle = 0.0 if self._waiting else idle + POLL_SECONDS
        finally:
            self._watching = None
            await end([listening])

    async def _look(self) -> None:
        """Have numbered what is not, and find the newest number; what fails is tried again at the next look."""
        try:
            await self._sequencer.look()
            async with self._database.read() as connection:
                last = await store.last_sequence(connection)
        except Exception as error:  # noqa: BLE001 - readers see the fault when they read
            log.warning("feed_unread", error=type(error).__name__)
            return
        if last != self._last:  # lower in a database that was restored, whose next numbers are to be waited for
            self._last = last
            self._announce()

    async def close(self) -> None:
        """End."""
        if self._watching is not None:
            await end([self._watching])
