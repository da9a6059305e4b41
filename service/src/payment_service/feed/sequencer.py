"""Has rows numbered soon after their commit, by whichever process committed them, and tells all who wait for events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.feed import store
from payment_service.feed.numbering import is_due, number_rows
from payment_service.storage.database import is_busy, is_unavailable
from payment_service.storage.notifications import FEED_CHANNEL, Notifier
from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.clock import Clock
    from payment_service.storage.database import Database

PAUSE_SECONDS: Final = 0.1
"""Between two passes of a process: what is committed meanwhile shares one, and it costs no request much."""
POLL_SECONDS: Final = 1.0
"""Between two looks of a worker for what nobody told it of."""
TRIM_SECONDS: Final = 300.0
TRIM_BATCH: Final = 500
TRIM_ROUNDS: Final = 200

log = structlog.get_logger("payments")


class Sequencer:
    """Runs one pass at a time in this process; passes of others are waited for, not queued up behind.

    Args:
        database: the outbox and the feed.
        clock: the time.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.on_numbered: list[Callable[[], None]] = []
        """Called in this process when there are new events."""
        self._notifier = Notifier(database, channel=FEED_CHANNEL)
        self._wanted = False
        self._running: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Number what was just committed; the caller does not wait."""
        self._wanted = True
        if self._running is None:
            self._running = begin(self._run())

    async def look(self) -> None:
        """Number what there is, if there is anything."""
        if self._running is None and await is_due(self._database):
            self.wake()

    async def number_all(self) -> int:
        """Number everything that can be seen now; return how many there were."""
        total = 0
        while True:
            passed = await number_rows(self._database, clock=self._clock)
            if passed is None:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            total += passed.numbered
            if passed.numbered:
                self.announce()
            if not passed.more:
                return total

    async def trim(self) -> None:
        """Remove the numbers of what is past its retention."""
        for _ in range(TRIM_ROUNDS):
            async with self._database.transaction() as connection:
                removed = await store.trim(connection, limit=TRIM_BATCH)
            if removed < TRIM_BATCH:
                break

    def announce(self) -> None:
        """Wake all who wait for events, in whichever process; the caller does not wait."""
        for told in self.on_numbered:
            told()
        self._notifier.notify()

    async def _run(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                await self.number_all()
                await asyncio.sleep(PAUSE_SECONDS)
        except Exception as error:
            if is_unavailable(error) or is_busy(error):
                log.warning("numbering_interrupted", error=type(error).__name__)
            else:
                log.exception("numbering_failed")
        finally:
            self._running = None

    async def close(self) -> None:
        """Stop; what is not numbered is numbered by the next pass, of whichever process."""
        if self._running is not None:
            await end([self._running])
        await self._notifier.close()
