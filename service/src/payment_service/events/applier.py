"""Applies claimed events: many in one transaction while all is well, one by one around an event that fails.

A snapshot that may be older than its row is not written: the event waits a moment, so that the rest of its burst
arrives, and then the present object is fetched once for all events of the object.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.customers.people import reopen
from payment_service.errors import StripeUnavailable
from payment_service.events import store
from payment_service.events.claiming import Claims, ids_of, named
from payment_service.events.retry_policy import judge
from payment_service.events.rows import BURST_SECONDS, GONE, NOT_MIRRORED
from payment_service.events.silent_changes import consequence
from payment_service.events.snapshot_batch import write_snapshots
from payment_service.events.snapshots import fetch_current, kind_of, moment_of
from payment_service.mirror.registry import KINDS, label_of
from payment_service.observability.metrics import EVENTS
from payment_service.payment_methods.browser_declines import FAILED, Failure
from payment_service.storage.database import is_busy, is_unavailable
from payment_service.storage.mirror import NeedsFetch, Provenance, reach_of, see
from payment_service.storage.succession import Moment
from payment_service.tasks import end

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.events.schemas import InboxEvent
    from payment_service.events.snapshot_batch import Sorted
    from payment_service.json_types import JsonObject
    from payment_service.mirror.kind import Kind
    from payment_service.payment_methods.browser_declines import BrowserDeclines
    from payment_service.storage.database import Database
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway

BATCH: Final = 250
"""Events that are applied in one transaction."""
FETCH_BATCH: Final = 100
FETCHES: Final = 8
"""At a time, of one worker."""
FETCH_TRIES: Final = 5
SUSPECT_ATTEMPTS: Final = 3
"""From this attempt on an event is applied alone: it may be what ended the process that applied it before."""

log = structlog.get_logger("payments")


class Applier:
    """Applies events for one worker.

    Args:
        database: the inbox and the mirror.
        gateway: fetches objects in doubt.
        budget: of such fetches.
        declines: counts cards that browsers tried, as events tell.
        clock: the time.
        settings: lease and attempts.
        owner: of the leases, unique among all workers.
    """

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        budget: StripeBudget,
        declines: BrowserDeclines,
        clock: Clock,
        settings: WorkSettings,
        owner: str,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._budget = budget
        self._declines = declines
        self._clock = clock
        self._settings = settings
        self._owner = owner
        self._claims = Claims(database, clock=clock, settings=settings, owner=owner)
        self._fetching = asyncio.Semaphore(FETCHES)
        self._bursts: set[asyncio.Task[None]] = set()
        self._chance = random.Random()  # noqa: S311 - jitter

    async def apply_snapshots(self) -> int:
        """Claim due events and write what they show; return how many were claimed."""
        count, events = await self._claims.take(limit=BATCH, fetch=False)
        events = _in_order(events)
        suspects = [event for event in events if event.attempts >= SUSPECT_ATTEMPTS]
        await self._apply([event for event in events if event.attempts < SUSPECT_ATTEMPTS])
        self._chance.shuffle(suspects)
        for event in suspects:
            await self._apply([event])
        return count

    async def fetch_doubtful(self, *, leave: int = 0) -> int:
        """Claim events in doubt, all of an object together, and write the present objects; return how many.

        Args:
            leave: how many objects may be under way still on return: one that Stripe is slow with holds up no other.
        """
        count, events = await self._claims.take(limit=FETCH_BATCH, fetch=True)
        for _, burst in groupby(_in_order(events), key=lambda event: event.object_id):
            self._bursts.add(asyncio.create_task(self._fetch_burst(list(burst))))
        await self.fetched(leave=leave)
        return count

    async def fetched(self, *, leave: int = 0) -> None:
        """Wait until no more objects than that are under way."""
        failures: list[BaseException] = []
        while len(self._bursts) > leave or any(task.done() for task in self._bursts):
            done, self._bursts = await asyncio.wait(self._bursts, return_when=asyncio.FIRST_COMPLETED)
            failures += filter(None, (task.exception() for task in done))
        for failure in failures:
            raise failure

    async def end(self) -> None:
        """Give up what is under way: its events are claimed again when their lease has passed."""
        await end(self._bursts)

    async def _apply(self, events: list[InboxEvent]) -> None:
        """Apply events in one transaction; when one fails, halve until it stands alone."""
        if not events:
            return
        try:
            await self._write_together(events)
        except Exception as error:
            if is_unavailable(error) and not (is_busy(error) and len(events) == 1):
                raise
            if len(events) == 1:
                await self._failed(events, error)
                return
            middle = len(events) // 2
            await self._apply(events[:middle])
            await self._apply(events[middle:])

    async def _write_together(self, events: list[InboxEvent]) -> None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await reopen(connection, [event.object for event in events])
            sorted_ = await write_snapshots(connection, events, now=now)
            shown = [(event, event.object) for event in sorted_.applied]
            await self._let_follow(connection, shown)
            declined = await self._declines.find(connection, _failures(shown))
            held = await self._settle(connection, sorted_, now=now)
        self._claims.report(sorted_.applied, "applied", held=held)
        self._claims.report(sorted_.ignored, "ignored", held=held)
        await self._declines.count(declined, held=held)

    async def _settle(self, connection: AsyncConnection, told: Sorted, *, now: datetime) -> set[str]:
        """End events, and give those in doubt back for a moment; return those that this worker still held."""
        held: set[str] = set()
        for state, settled, why in (("applied", told.applied, None), ("ignored", told.ignored, NOT_MIRRORED)):
            if settled:
                held |= await store.settle(
                    connection, ids_of(settled), state=state, now=now, owner=self._owner, error=why
                )
        if told.doubtful:
            at = now + timedelta(seconds=BURST_SECONDS)
            await store.try_again(connection, ids_of(told.doubtful), at=at, owner=self._owner, forgive=True, fetch=True)
        return held

    async def _let_follow(self, connection: AsyncConnection, told: list[tuple[InboxEvent, JsonObject]]) -> None:
        """Let objects be fetched that changed in silence with those just written."""
        now = self._clock.now()
        rows = [row for event, obj in told if (row := consequence(event, obj, now=now)) is not None]
        if rows:
            await store.insert_events(connection, rows)

    async def _fetch_burst(self, events: list[InboxEvent]) -> None:
        """Write the present object for all its events."""
        try:
            kind = kind_of(events[-1])
            async with self._fetching:
                if kind is None or not await self._fetch_and_write(kind, events):
                    await self._claims.settle(events, "ignored", error=NOT_MIRRORED if kind is None else GONE)
        except Exception as error:
            if is_unavailable(error) and not is_busy(error):
                raise
            await self._failed(events, error)

    async def _fetch_and_write(self, kind: Kind, events: list[InboxEvent]) -> bool:
        """Fetch and write for as long as the row changes meanwhile; False when Stripe has no such object.

        Raises:
            StripeUnavailable: it changes every time; the events wait.
        """
        for _ in range(FETCH_TRIES):
            await self._budget.take()
            reach = reach_of(self._clock)
            async with self._database.read() as connection:
                seen = await see(connection, kind.table, {kind.key: events[-1].object_id}, reach=reach)
            current = await fetch_current(self._gateway, kind, events)
            if current is None or (seen.version is None and kind.only_marks(current)):
                return False
            if await self._write_current(kind, events, current, seen=seen):
                return True
        raise StripeUnavailable("The object changes faster than it can be written", retry_after=1)

    async def _write_current(self, kind: Kind, events: list[InboxEvent], obj: JsonObject, *, seen: Seen) -> bool:
        """Write the object and settle its events in one transaction; False when the row has changed since."""
        now = self._clock.now()
        newest = events[-1]
        try:
            async with self._database.transaction() as connection:
                await reopen(connection, [obj, *(event.object for event in events)])
                fetched = Provenance(newest.id, newest.stripe_created, now, seen)
                await kind.write(connection, obj, provenance=fetched)
                shown = [(event, obj if event.thin else event.object) for event in events]
                await self._let_follow(connection, shown)
                declined = await self._declines.find(connection, _failures(shown))
                held = await store.settle(connection, ids_of(events), state="applied", now=now, owner=self._owner)
        except NeedsFetch:
            return False
        self._claims.report(events, "applied", held=held)
        await self._declines.count(declined, held=held)
        return True

    async def _failed(self, events: list[InboxEvent], error: Exception) -> None:
        """Let events wait, or give them up after the last attempt; other events go on."""
        maximum = self._settings.event_max_attempts
        for event in events:
            verdict = judge(
                error,
                attempts=event.attempts,
                maximum=maximum,
                chance=self._chance,
                object_type=_name_of(event),
            )
            log.warning("event_failed", **named(event), dead=verdict.dead, error=verdict.reason)
            if verdict.dead:
                await self._claims.settle([event], "dead", error=verdict.reason)
                continue
            at = self._clock.now() + timedelta(seconds=verdict.wait_seconds)
            async with self._database.transaction() as connection:
                await store.try_again(
                    connection,
                    [event.id],
                    at=at,
                    owner=self._owner,
                    forgive=verdict.forgive,
                    error=verdict.reason,
                )
            EVENTS.labels(label_of(event.type), "retry").inc()


def _failures(shown: Iterable[tuple[InboxEvent, JsonObject]]) -> list[Failure]:
    """Return what failed: of most batches nothing."""
    return [Failure(event.id, event.type, event.stripe_created, obj) for event, obj in shown if event.type in FAILED]


def _in_order(events: Iterable[InboxEvent]) -> list[InboxEvent]:
    """Order by kind and object, the events of an object by time, its creation first."""
    ranks = {name: rank for rank, name in enumerate(KINDS)}

    def order(event: InboxEvent) -> tuple[int, str, int, bool, str]:
        later = moment_of(event) is not Moment.FIRST
        return ranks.get(_name_of(event), -1), event.object_id, event.stripe_created, later, event.id

    return sorted(events, key=order)


def _name_of(event: InboxEvent) -> str:
    kind = kind_of(event)
    return "" if kind is None else kind.name
