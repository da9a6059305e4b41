"""Reconciliation: what is due, what was asked for, and the invariants that are watched."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.errors import StripeTimeout, StripeUnavailable
from payment_service.observability.metrics import DUPLICATES, OPERATIONS_PAST_LEASE, PAID_WITHOUT_ROW
from payment_service.reconcile import drift, polling, store
from payment_service.reconcile.schemas import Report
from payment_service.storage import audit_log
from payment_service.storage.cursors import write_cursor
from payment_service.storage.database import is_unavailable
from payment_service.stripe_api.objects import StripeUnreadable
from payment_service.subscriptions import duplicates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.reconcile.schemas import ReconcileRequest
    from payment_service.storage.database import Database
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway

RUN: Final = "reconcile.run"
UNDELIVERED: Final = "reconcile.undelivered"
RECONCILE_CHECK_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 30.0
UNDELIVERED_EVERY: Final = 10
"""Runs of the poller for one sweep of failed deliveries."""


class Reconciler:
    """Finds what webhooks did not tell.

    Args:
        database: inbox and mirror.
        gateway: lists events and objects.
        budget: of calls to Stripe, shared with the workers' fetches.
        clock: the time.
        livemode: of the account.
        seconds: between two runs.
        announce: tells the workers that there are new events.
    """

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        budget: StripeBudget,
        clock: Clock,
        livemode: bool,
        seconds: float,
        announce: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._livemode = livemode
        self._seconds = seconds
        self._announce = announce
        self._poller = polling.EventPoller(database, gateway, budget=budget, clock=clock, livemode=livemode)
        self._sweep = drift.DriftSweep(database, gateway, budget=budget, clock=clock, livemode=livemode)

    async def run_due(self) -> Report | None:
        """Run when it is time or somebody asked; one process of many does. None: it was not."""
        now = self._clock.now()
        seconds = self._seconds
        async with self._database.transaction() as connection:
            if not await store.is_due(connection, RUN, seconds=seconds, now=now):
                return None
            failed = await store.is_due(connection, UNDELIVERED, seconds=UNDELIVERED_EVERY * seconds, now=now)
        return await self.run(full=False, undelivered=failed)

    async def run(
        self,
        *,
        full: bool,
        undelivered: bool = True,
        since: datetime | None = None,
        dry_run: bool = False,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Report:
        """Look at events, and at all objects when asked, when a sweep was interrupted, or when the gap is too long.

        A part that fails keeps the others from nothing, unless Stripe or the database is away.

        Raises:
            Exception: the first fault of a part, after the others were done.
        """
        report = Report()
        start = None if since is None else int(since.timestamp())
        if not dry_run and (full or await self._poller.has_gap()):
            await self._sweep.begin()

        parts: list[Callable[[], Awaitable[None]]] = [
            partial(self._poller.poll, report, since=start, dry_run=dry_run, progress=progress)
        ]
        if undelivered:
            parts.append(partial(self._poller.undelivered, report, dry_run=dry_run))
        if full or await self._sweep.is_under_way():
            parts.append(partial(self._sweep.run, report, dry_run=dry_run, progress=progress))
        faults = [fault for part in parts if (fault := await _fault_of(part)) is not None]
        if report.missed or report.drifted:
            self._announce()
        if faults:
            raise faults[0]
        return report

    async def watch(self) -> None:
        """Refresh the gauges of what must not be, and tell of duplicates (`subscriptions/duplicates.py`)."""
        now = self._clock.now()
        async with self._database.read() as connection:
            PAID_WITHOUT_ROW.set(await store.paid_without_row(connection, now=now))
            OPERATIONS_PAST_LEASE.set(await store.past_lease(connection, now=now))
        DUPLICATES.set(await duplicates.watch(self._database, livemode=self._livemode, now=now))

    async def schedule(self, connection: AsyncConnection, request: ReconcileRequest, *, actor: str) -> None:
        """Let a worker run soon, with what is asked for."""
        now = self._clock.now()
        if request.since is not None:
            until = int(request.since.astimezone(UTC).timestamp())
            await write_cursor(connection, polling.CURSOR, {"until": until}, now=now)
        if request.full:
            await write_cursor(connection, drift.CURSOR, drift.BEGINNING, now=now)
        await store.make_due(connection, RUN)
        await store.make_due(connection, UNDELIVERED)
        await audit_log.record(
            connection,
            actor=actor,
            action="reconciliation.schedule",
            object_type="reconciliation",
            object_id="all" if request.full else "events",
            now=now,
            details=msgspec.to_builtins(request),
        )


async def _fault_of(part: Callable[[], Awaitable[None]]) -> Exception | None:
    """Do a part and return what went wrong, for the others must go on.

    Raises:
        Exception: Stripe or the database is away: the others would only find out the same.
    """
    try:
        await part()
    except Exception as error:
        away = isinstance(error, StripeUnavailable | StripeTimeout) and not isinstance(error, StripeUnreadable)
        if is_unavailable(error) or away:
            raise
        return error
    return None
