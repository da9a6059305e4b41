"""The worker: applies the inbox and completes interrupted operations."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.errors import PaymentsError, StripeUnavailable
from payment_service.platform.database import is_unavailable
from payment_service.platform.metrics import EVENTS, INBOX_DEAD, INBOX_OLDEST
from payment_service.platform.mirroring import NeedsFetch, see
from payment_service.webhooks import store
from payment_service.webhooks.application import Target, fetch_current, snapshot_of, target_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.idempotency.service import Operations
    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.platform.mirroring import Seen
    from payment_service.platform.stripe_gateway import StripeGateway
    from payment_service.settings import WorkSettings
    from payment_service.webhooks.schemas import InboxEvent

log = structlog.get_logger("payments")

BATCH: Final = 20
FETCH_TRIES: Final = 5
POLL_SECONDS: Final = 1.0
RETRY_BASE_SECONDS: Final = 1.0
RETRY_CAP_SECONDS: Final = 600.0
HOUSEKEEPING_SECONDS: Final = 15.0
OPERATIONS_SECONDS: Final = 2.0
CLEANUP_BATCH: Final = 500


class Worker:
    """One loop over the inbox, one over everything that is due from time to time."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        operations: Operations,
        clock: Clock,
        settings: WorkSettings,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._operations = operations
        self._clock = clock
        self._settings = settings
        self._owner = f"{socket.gethostname()}-{os.getpid()}"
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self.claiming = settings.claim

    def wake(self) -> None:
        """Look for events now instead of at the next poll."""
        self._woken.set()

    def stop(self) -> None:
        """End after the event that is being applied."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._apply_forever())
            group.create_task(self._every(OPERATIONS_SECONDS, self._complete_operations))
            group.create_task(self._every(HOUSEKEEPING_SECONDS, self._keep_house))

    async def _apply_forever(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            applied = await self._guarded_apply() if self.claiming else 0
            if applied:
                continue
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _guarded_apply(self) -> int:
        """Apply a batch; while the database is away, wait instead of ending."""
        try:
            return await self.apply_batch()
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("inbox_database_unavailable", error=type(error).__name__)
            return 0

    async def apply_batch(self) -> int:
        """Claim and apply due events; return how many were claimed."""
        async with self._database.transaction() as connection:
            claimed = await store.claim(
                connection,
                owner=self._owner,
                now=self._clock.now(),
                lease_seconds=self._settings.event_lease_seconds,
                limit=BATCH,
            )
        for event in claimed:
            await self._apply(event)
        return len(claimed)

    async def _apply(self, event: InboxEvent) -> None:
        target = target_of(event)
        try:
            if target is None:
                await self._settle(event, "ignored")
            elif not await self._write(event, target, snapshot_of(event), seen=None):
                await self._fetch_and_write(event, target)
        except Exception as error:
            if is_unavailable(error):
                raise
            await self._failed(event, error)

    async def _fetch_and_write(self, event: InboxEvent, target: Target) -> None:
        """Write the present object from Stripe, for as long as the row changes meanwhile.

        Raises:
            StripeUnavailable: it changes every time; the event waits.
        """
        for _ in range(FETCH_TRIES):
            async with self._database.read() as connection:
                seen = await see(connection, target.table, {target.key: event.object_id})
            current = await fetch_current(self._gateway, event, target)
            if current is None:
                await self._settle(event, "ignored")
                return
            if await self._write(event, target, current, seen=seen):
                return
        raise StripeUnavailable("The object changes faster than it can be written", retry_after=1)

    async def _write(self, event: InboxEvent, target: Target, obj: dict[str, object], *, seen: Seen | None) -> bool:
        """Write the object and settle the event in one transaction; False when the object may be old."""
        now = self._clock.now()
        try:
            async with self._database.transaction() as connection:
                await target.write(connection, obj, as_of=event.stripe_created, seen=seen, cause=event.id, now=now)
                await store.settle(connection, event.id, state="applied", now=now, owner=self._owner)
        except NeedsFetch:
            return False
        EVENTS.labels(event.type, "applied").inc()
        log.info("event_applied", event_id=event.id, type=event.type, object=event.object_id)
        return True

    async def _settle(self, event: InboxEvent, state: str) -> None:
        async with self._database.transaction() as connection:
            await store.settle(connection, event.id, state=state, now=self._clock.now(), owner=self._owner)
        EVENTS.labels(event.type, state).inc()

    async def _failed(self, event: InboxEvent, error: Exception) -> None:
        """Let the event wait, or give it up after the last attempt; other events go on."""
        reason = error.code if isinstance(error, PaymentsError) else type(error).__name__
        now = self._clock.now()
        async with self._database.transaction() as connection:
            if event.attempts >= self._settings.event_max_attempts:
                await store.settle(connection, event.id, state="dead", now=now, owner=self._owner, error=reason)
                outcome = "dead"
            else:
                cap = min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2**event.attempts)
                wait = timedelta(seconds=random.uniform(0, cap))  # noqa: S311 - jitter
                await store.retry(connection, event.id, at=now + wait, owner=self._owner, error=reason)
                outcome = "retry"
        EVENTS.labels(event.type, outcome).inc()
        log.warning("event_failed", event_id=event.id, type=event.type, outcome=outcome, error=reason)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            try:
                await work()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("worker_database_unavailable", error=type(error).__name__)
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _complete_operations(self) -> None:
        if self.claiming:
            await self._operations.complete_expired()

    async def _keep_house(self) -> None:
        """Refresh the gauges and remove what is past its retention, in small batches."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            oldest, dead = await store.backlog(connection)
            before = now - timedelta(days=self._settings.event_retention_days)
            await store.remove_settled(connection, before=before, limit=CLEANUP_BATCH)
            await self._operations.remove_expired_keys(connection, limit=CLEANUP_BATCH)
        INBOX_OLDEST.set(0 if oldest is None else (now - oldest).total_seconds())
        INBOX_DEAD.set(dead)
