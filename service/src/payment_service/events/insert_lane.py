"""A lane that inserts events in batches without waiting for them.

While one statement runs, arriving events queue; when it returns, everything queued goes into the next. So a lone
event is inserted at once, and many share one statement and one flush of the database's log. Each caller returns after
the commit of its own event. There is no timer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from payment_service.events.store import ARRIVED
from payment_service.storage.database import is_unavailable
from payment_service.tasks import begin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from payment_service.events.rows import EventRow
    from payment_service.storage.database import Database

MAXIMUM_BATCH: Final = 200
MAXIMUM_QUEUED: Final = 2000
"""More than this waits too long for its answer: Stripe is asked to deliver again."""


class QueueFull(OSError):
    """Too many events wait: the database is slower than they arrive."""


class InsertLane:
    """Inserts rows of `events` where batches are faster."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queued: list[tuple[EventRow, asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None

    async def insert(self, row: EventRow) -> None:
        """Insert one row and return after its commit.

        Raises:
            QueueFull: too many wait.
            Exception: what the driver raised for this row's statement.
        """
        if len(self._queued) >= MAXIMUM_QUEUED:
            raise QueueFull("too many events wait to be stored")
        committed = asyncio.get_running_loop().create_future()
        self._queued.append((row, committed))
        if self._running is None:
            self._running = begin(self._run())
        await committed

    async def _run(self) -> None:
        try:
            while self._queued:
                batch, self._queued = self._queued[:MAXIMUM_BATCH], self._queued[MAXIMUM_BATCH:]
                await self._insert_batch(batch)
        finally:
            self._running = None

    async def _insert_batch(self, batch: list[tuple[EventRow, asyncio.Future[None]]]) -> None:
        """Insert a batch; a row that the database refuses does not take the others with it."""
        try:
            await self._execute([row for row, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            if is_unavailable(error) or len(batch) == 1:
                for _, waiting in batch:
                    if not waiting.done():
                        waiting.set_exception(error)
                return
            for single in batch:
                await self._insert_batch([single])
            return
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_result(None)

    async def _execute(self, rows: list[EventRow]) -> None:
        """Run one statement in a transaction of its own; copies of an event within it are one row."""
        unique: list[Mapping[str, object]] = list({row["id"]: row for row in rows}.values())
        async with self._database.connect() as connection:
            await ARRIVED.run_batch(connection, unique)
