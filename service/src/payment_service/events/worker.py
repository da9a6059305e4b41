"""The worker: applies the inbox, completes interrupted operations, and does what is due from time to time."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from payment_service.events import store
from payment_service.events.applier import FETCHES, Applier
from payment_service.events.claim_file import FOLLOW_SECONDS, ClaimFile
from payment_service.events.rows import BURST_SECONDS
from payment_service.observability.metrics import INBOX_DEAD, INBOX_OLDEST
from payment_service.storage.database import is_unavailable
from payment_service.storage.retention import remove_old
from payment_service.storage.tables import audit_log, outbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.operations.service import Operations
    from payment_service.payment_methods.browser_declines import BrowserDeclines
    from payment_service.storage.database import Database
    from payment_service.storage.notifications import Listener
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway

Result = TypeVar("Result")
log = structlog.get_logger("payments")

POLL_SECONDS: Final = 1.0
HOUSEKEEPING_SECONDS: Final = 15.0
OPERATIONS_SECONDS: Final = 2.0
CLEANUP_BATCH: Final = 500
CLEANUP_ROUNDS: Final = 40


class Duty(NamedTuple):
    """Something that is due again and again."""

    seconds: float
    work: Callable[[], Awaitable[object]]
    woken: asyncio.Event | None = None
    """It is done when this is set, too; the seconds, with jitter, are for what nobody told of."""


class Worker:
    """One loop over new events, one over those in doubt, so that a slow Stripe holds up nothing else; and duties.

    Args:
        database: the inbox and the mirror.
        gateway: fetches objects in doubt.
        budget: of calls to Stripe.
        declines: counts cards that browsers tried, as events tell.
        operations: interrupted ones are completed.
        listener: tells of new events.
        clock: the time.
        settings: leases, attempts, retention.
        woken: set when there may be new events.
        duties: of other features, done while this worker claims.
    """

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        budget: StripeBudget,
        declines: BrowserDeclines,
        operations: Operations,
        listener: Listener,
        clock: Clock,
        settings: WorkSettings,
        woken: asyncio.Event,
        duties: tuple[Duty, ...],
    ) -> None:
        self._database = database
        self._operations = operations
        self._listener = listener
        self._clock = clock
        self._settings = settings
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._applier = Applier(
            database, gateway, budget=budget, declines=declines, clock=clock, settings=settings, owner=owner
        )
        self.duties: Final = (Duty(OPERATIONS_SECONDS, operations.complete_expired), *duties)
        self._woken = woken
        self._doubted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._file = ClaimFile(settings.claim_file, clock=clock) if settings.claim_file else None
        self.claiming = self._file.claim if self._file else settings.claim

    def wake(self) -> None:
        """Look for events now instead of at the next poll."""
        self._woken.set()

    def set_claiming(self, *, claim: bool) -> None:
        """Claim from now on, or no more."""
        self.claiming = claim
        if self._file is not None:
            self._file.overruled()
        self._wake_all()

    async def follow(self) -> None:
        """Do as the followed file says when that changes."""
        change = self._file.change() if self._file else None
        if change is not None and change != self.claiming:
            self.claiming = change
            log.info("worker_follows", claiming=change)
            self._wake_all()

    def stop(self) -> None:
        """End after the events that are being applied."""
        self._stopping.set()
        self._doubted.set()
        self._wake_all()

    def _wake_all(self) -> None:
        self.wake()
        for duty in self.duties:
            if duty.woken is not None:
                duty.woken.set()

    async def run(self) -> None:
        """Work until `stop`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listener.run(self.wake, stopping=self._stopping))
            group.create_task(self._work_forever(self.apply_batch, self._woken))
            group.create_task(self._fetch_forever())
            group.create_task(self._every(HOUSEKEEPING_SECONDS, self.keep_house))
            if self._file is not None:
                group.create_task(self._every(FOLLOW_SECONDS, self.follow))
            for duty in self.duties:
                group.create_task(self._every(duty.seconds, self._while_claiming(duty.work), woken=duty.woken))

    async def apply_batch(self) -> int:
        """Apply due events; return how many were claimed."""
        count = await self._applier.apply_snapshots()
        if count:
            asyncio.get_running_loop().call_later(BURST_SECONDS, self._doubted.set)
        return count

    async def fetch_doubtful(self) -> int:
        """Fetch the objects whose events are in doubt; return how many events were claimed."""
        return await self._applier.fetch_doubtful()

    async def _fetch_forever(self) -> None:
        try:
            await self._work_forever(lambda: self._applier.fetch_doubtful(leave=FETCHES - 1), self._doubted)
            await _guarded(self._applier.fetched)
        finally:
            await self._applier.end()

    async def _work_forever(self, work: Callable[[], Awaitable[int]], woken: asyncio.Event) -> None:
        """Call `work` for as long as it finds something, then wait for a wake-up or the next poll."""
        while not self._stopping.is_set():
            woken.clear()
            done = await _guarded(work) if self.claiming else None
            if not done:
                await _wait(woken, POLL_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def _every(
        self, seconds: float, work: Callable[[], Awaitable[object]], *, woken: asyncio.Event | None = None
    ) -> None:
        while not self._stopping.is_set():
            if woken is None:
                await _guarded(work)
                await _wait(self._stopping, seconds)
                continue
            woken.clear()
            await _guarded(work)
            await _wait(woken, seconds * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    def _while_claiming(self, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        async def guarded() -> object:
            return await work() if self.claiming else None

        return guarded

    async def keep_house(self) -> None:
        """Refresh the gauges and remove what is past its retention; what fails keeps nothing else from being done."""
        works = (self._measure, self._remove_operations, self._remove_events, self._remove_outbox, self._remove_audit)
        for work in works:
            await _guarded(work)

    async def _measure(self) -> None:
        now = self._clock.now()
        async with self._database.read() as connection:
            oldest, dead = await store.backlog(connection)
        INBOX_OLDEST.set(0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
        INBOX_DEAD.set(dead)

    async def _remove_operations(self) -> None:
        await self._operations.remove_expired(limit=CLEANUP_BATCH)

    async def _remove_events(self) -> None:
        """Remove settled events in small batches."""
        before = self._clock.now() - timedelta(days=self._settings.event_retention_days)
        for _ in range(CLEANUP_ROUNDS):
            async with self._database.transaction() as connection:
                removed = await store.remove_settled(connection, before=before, limit=CLEANUP_BATCH)
            if removed < CLEANUP_BATCH or self._stopping.is_set():
                break

    async def _remove_outbox(self) -> None:
        days, now = self._settings.outbox_retention_days, self._clock.now()
        await remove_old(self._database, outbox, days=days, now=now, limit=CLEANUP_BATCH, rounds=CLEANUP_ROUNDS)

    async def _remove_audit(self) -> None:
        days, now = self._settings.audit_retention_days, self._clock.now()
        await remove_old(self._database, audit_log, days=days, now=now, limit=CLEANUP_BATCH, rounds=CLEANUP_ROUNDS)


async def _guarded(work: Callable[[], Awaitable[Result]]) -> Result | None:
    """Do it; what goes wrong is logged and done again later, for the other duties must go on."""
    try:
        return await work()
    except Exception as error:
        if is_unavailable(error):
            log.warning("worker_database_unavailable", error=type(error).__name__)
        else:
            log.exception("worker_duty_failed")
        return None


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event, but not longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
