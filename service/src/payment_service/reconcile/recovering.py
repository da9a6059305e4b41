"""Brings a restored database to what Stripe knows: a sweep over everything, its events applied, then the mark goes.

The mark and what sets it: `storage/recovery.py`. It says how far this is: `swept_at` when a sweep was last asked for,
`compared` when one that began under this mark has listed everything that guards against a second charge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from payment_service.reconcile import drift, store
from payment_service.reconcile.service import RUN
from payment_service.storage.cursors import read_cursor, read_cursors, write_cursor
from payment_service.storage.recovery import MARK

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery

STEP_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 300.0
"""After which a sweep that did not count is begun again, for example when Stripe refused to list the customers."""

log = structlog.get_logger("payments")


class Recovering:
    """What a worker does while the database is older than what was done."""

    def __init__(self, database: Database, recovery: Recovery, *, clock: Clock) -> None:
        self._database = database
        self._recovery = recovery
        self._clock = clock

    async def step(self) -> None:
        """Ask for a sweep, or take the mark away when everything is compared and applied."""
        mark = (await self._recovery.state()).mark
        if mark is None:
            return
        async with self._database.read() as connection:
            found = await read_cursors(connection, MARK, drift.CURSOR)
            waiting = await store.brought(connection)
        mark = found.get(MARK)
        if mark is None:
            return
        if not mark.get("compared"):
            await self._sweep(mark, under_way=found.get(drift.CURSOR))
        elif not waiting and await self._recovery.clear(mark_id=mark["id"], actor="worker:recovery"):
            log.warning("database_recovered", reason=mark["reason"])

    async def _sweep(self, mark: dict[str, Any], *, under_way: dict[str, Any] | None) -> None:
        """Let a sweep begin that counts for this mark."""
        now = self._clock.timestamp()
        counted = under_way is not None and drift.counts(under_way, mark)
        if counted or now - mark.get("swept_at", 0) < AGAIN_SECONDS:
            return
        async with self._database.transaction() as connection:
            current = await read_cursor(connection, MARK, lock=True)
            if current != mark:
                return
            await write_cursor(connection, MARK, {**mark, "swept_at": now}, now=self._clock.now())
            await write_cursor(connection, drift.CURSOR, drift.BEGINNING, now=self._clock.now())
            await store.make_due(connection, RUN)
