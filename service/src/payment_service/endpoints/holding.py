"""Sends what waits for one endpoint, while this worker holds it.

Deliveries about one object go one after the other: the next begins when the one before is delivered, given up or
skipped. Those about different objects go at once, up to a bound, so an event that an endpoint cannot take keeps the
others about its object waiting and nothing else. Who holds an endpoint waits for nobody: its place and its attempts are
its own, and only the database is shared, a few statements at a time.

**A crash loses nothing.** Where the feed was looked at, and what was found wanted, commit together; a delivery is
settled after its answer. So after a kill some are sent once more, with the same `webhook-id`, and none is left out.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from payment_service.deliveries.sender import Answer
from payment_service.endpoints import leases, queue, replay_store, replaying
from payment_service.endpoints.disabling import disable
from payment_service.endpoints.errors import SigningKeyMissing
from payment_service.endpoints.leases import LeaseLost
from payment_service.endpoints.outcomes import TRIP, Health, Tried, result
from payment_service.endpoints.reading import read_ahead
from payment_service.endpoints.rows import current, former, is_replayed
from payment_service.endpoints.supply import Supply
from payment_service.feed import store as feed_store
from payment_service.observability.metrics import WEBHOOK_ATTEMPTS, WEBHOOK_SECONDS, WEBHOOKS_DISABLED
from payment_service.storage.database import is_busy, is_unavailable
from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import DeliveryRow, EndpointRow
    from payment_service.endpoints.supply import Due, Tools
    from payment_service.feed.schemas import FeedEvent

AT_ONCE: Final = 8
"""Attempts of one endpoint."""
BACKLOG: Final = 10_000
"""Events that may be pending for one endpoint; until there are fewer, the feed is looked at no further for it."""
UNDECIDED_SECONDS: Final = 2.0
"""Until the feed is looked at again whose next event is about a customer who is not known yet."""
FULL_SECONDS: Final = 30.0
"""Until an endpoint with so many is looked at again."""
RENEWALS: Final = 6
"""Of a lease, before it would end."""
GATHER_SECONDS: Final = 0.005
HOLD_SECONDS: Final = 30.0
"""Then the endpoint is given back, so that others have their turn where there are more than a worker can hold."""
UNSIGNED_SECONDS: Final = 60.0
"""Until an endpoint is tried again whose secret cannot be derived."""

log = structlog.get_logger("payments")


class Hold:
    """One endpoint, for as long as this worker holds it."""

    def __init__(self, endpoint_id: str, tools: Tools) -> None:
        self._id = endpoint_id
        self._tools = tools
        self._under_way: dict[asyncio.Task[Tried], DeliveryRow] = {}
        self._supply, self._supply_again = (Supply(endpoint_id, tools, again=again) for again in (False, True))
        self._health = Health()
        self._resume_at: datetime | None = None
        """As the row says it: only people change it while the endpoint is held."""
        self._full = self._undecided = False

    async def run(self) -> bool:
        """Send what is due, then give the endpoint back; whatever fails costs no other endpoint anything.

        Returns:
            False: something failed, and the endpoint is better left alone for a while.
        """
        try:
            await self._work()
        except LeaseLost:
            return True
        except Exception as error:
            if is_unavailable(error) or is_busy(error):
                log.warning("webhooks_interrupted", endpoint=self._id, error=type(error).__name__)
            else:
                log.exception("webhooks_failed", endpoint=self._id)
            return False
        finally:
            await end(self._under_way)
        return True

    async def _work(self) -> None:
        until = time.monotonic() + HOLD_SECONDS
        row = await self._settle(())
        try:
            while True:
                looked = False
                if time.monotonic() < until and not self._tools.stopping.is_set() and self._may_send:
                    row, looked = await self._begin(row)
                if self._under_way:
                    row = await self._settle(await self._ended())
                elif not looked:
                    break
        finally:
            await end(self._under_way)
            await self._release()

    async def _ended(self) -> set[asyncio.Task[Tried]]:
        """Wait until attempts have ended, or the lease is to be prolonged, and return those that have.

        Whoever answers fast answers several within a moment: they are settled together.
        """
        seconds = self._tools.lease_seconds / RENEWALS
        ended, going_on = await asyncio.wait(self._under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if ended and going_on:
            more, _ = await asyncio.wait(going_on, timeout=GATHER_SECONDS)
            ended |= more
        return ended

    @property
    def _may_send(self) -> bool:
        return self._health.resume_at is None and self._health.disabled is None

    async def _begin(self, row: EndpointRow) -> tuple[EndpointRow, bool]:
        """Begin as many attempts as there is room for; tell whether the feed was looked at further."""
        room = (1 if self._health.failures >= TRIP else AT_ONCE) - len(self._under_way)
        if room <= 0 or not self._secrets(row):
            return row, False
        found, looked = await self._supply.take(room, busy=self._busy), False
        if len(found) < room:
            row, looked = await self._look_ahead(row)
            found = await self._supply.take(room, busy=self._busy) if looked else found
        if row.replay_id is not None:
            found += await self._take_again(row, room - len(found))
        secrets = self._secrets(row) if found else []  # another one may sign by now
        for delivery, event in found if secrets else ():
            task = begin(self._attempt(row, delivery, event, secrets=secrets))
            self._under_way[task] = delivery
        return row, looked

    @property
    def _busy(self) -> set[str]:
        """Objects with an attempt that is new: it waits for none of a replay."""
        return {one.object_id for one in self._under_way.values() if not is_replayed(one)}

    async def _take_again(self, row: EndpointRow, room: int) -> list[Due]:
        """Return what the endpoint's replay may send now, of the room that what is new has left."""
        room = min(room, replaying.AT_ONCE - sum(is_replayed(one) for one in self._under_way.values()))
        if room <= 0:
            return []
        busy = {one.object_id for one in self._under_way.values()}
        found = await self._supply_again.take(room, busy=busy)
        if len(found) < room and await replaying.look_back(self._tools, row, renew=self._renew):
            found = await self._supply_again.take(room, busy=busy)
        return found

    def _secrets(self, row: EndpointRow) -> list[str]:
        """Return what deliveries are signed with, the newest first; nothing is sent unsigned."""
        try:
            secrets = [self._tools.keys.reveal(current(row))]
        except SigningKeyMissing as error:
            log.warning("webhooks_unsigned", endpoint=self._id, error=str(error))
            self._health = self._health.unsigned(until=self._now() + timedelta(seconds=UNSIGNED_SECONDS))
            return []
        before = former(row, now=self._now())
        if before is not None:
            try:
                secrets.append(self._tools.keys.reveal(before))
            except SigningKeyMissing:
                log.warning("webhooks_without_former_secret", endpoint=self._id)
        return secrets

    async def _look_ahead(self, row: EndpointRow) -> tuple[EndpointRow, bool]:
        """Let the next events of the feed wait that the endpoint wants; tell whether there were any to look at."""
        async with self._tools.turn, self._tools.database.read() as connection:
            last = await feed_store.last_sequence(connection)
            behind = row.reached != last
            self._undecided = False
            self._full = behind and await queue.backlog(connection, self._id, limit=BACKLOG) >= BACKLOG
            if not behind or self._full:
                return row, False
            reached, wanted = await read_ahead(connection, self._tools.feed, row, last=last, now=self._now())
        self._undecided = not wanted and reached == row.reached
        if self._undecided:
            return row, False
        self._tools.recent.put(wanted)
        async with self._tools.turn, self._tools.database.transaction() as connection:
            due = {"due_at": self._now()} if wanted else {}  # for whoever takes over, should this worker be killed
            row = await self._renew(connection, {"reached": reached, **due})
            await queue.add(connection, self._id, wanted, now=self._now())
        return row, True

    async def _attempt(
        self, row: EndpointRow, delivery: DeliveryRow, event: FeedEvent | None, *, secrets: Sequence[str]
    ) -> Tried:
        began = self._now()
        if event is None:
            return Tried(delivery, None, began)
        try:
            answer = await self._tools.sender.send(
                url=row.url,
                webhook_id=delivery.webhook_id or delivery.event_id,
                timestamp=int(self._tools.clock.timestamp()),
                body=msgspec.json.encode(event),
                secrets=secrets,
            )
        except Exception:
            log.exception("webhook_not_sent", endpoint=self._id, delivery=delivery.id)
            answer = Answer("retry", "broken", None, None, (self._now() - began).total_seconds())
            return Tried(delivery, answer, began, ours=True)
        return Tried(delivery, answer, began)

    async def _settle(self, ended: Collection[asyncio.Task[Tried]]) -> EndpointRow:
        """Write what came of attempts, prolong the lease, and return the endpoint as it is.

        When a person has it sent to again, as it was or at another address, what was tried before that says nothing of
        how it does now.

        Raises:
            LeaseLost: nothing was written.
        """
        now, tried = self._now(), [task.result() for task in ended]
        results = {one.delivery.id: result(one, now=now, random=self._tools.random) for one in tried}
        async with self._tools.turn, self._tools.database.transaction() as connection:
            row = await self._renew(connection, {})
            health = self._health_after(row, tried, now=now)
            if (health.failures, health.failing_since) != (row.failures, row.failing_since):
                values = {"failures": health.failures, "failing_since": health.failing_since}
                await leases.leave(connection, self._id, values)
            await queue.settle(connection, results)
            if health.disabled is not None:
                await disable(connection, row, reason=health.disabled, now=now)
        for task in ended:
            del self._under_way[task]
        self._health, self._resume_at = health, row.resume_at
        self._report(tried, results)
        return row

    def _health_after(self, row: EndpointRow, tried: Iterable[Tried], *, now: datetime) -> Health:
        """Return how the endpoint does after attempts; what kept us from making one is no fault of its."""
        health = self._health_in(row)
        for delivery, answer, began, ours in tried:
            if answer is not None and not ours and began >= row.resume_at:
                health = health.after(answer, now=now, random=self._tools.random, again=is_replayed(delivery))
        return health

    def _health_in(self, row: EndpointRow) -> Health:
        """Return how the endpoint does as far as is known here, or as a person has set it since."""
        return self._health if row.resume_at == self._resume_at else Health.of(row)

    def _report(self, tried: Iterable[Tried], results: Mapping[str, Mapping[str, object]]) -> None:
        for delivery, answer, _, _ in tried:
            if answer is not None:
                WEBHOOK_ATTEMPTS.labels(answer.outcome, answer.reason).inc()
                WEBHOOK_SECONDS.observe(answer.seconds)
            if results[delivery.id]["state"] == "failed":
                reason = results[delivery.id]["last_error"]
                log.warning("webhook_given_up", endpoint=self._id, delivery=delivery.id, reason=reason)
        if self._health.disabled is not None:
            WEBHOOKS_DISABLED.labels(self._health.disabled).inc()
            log.warning("webhook_endpoint_disabled", endpoint=self._id, reason=self._health.disabled)

    async def _renew(self, connection: AsyncConnection, values: Mapping[str, object]) -> EndpointRow:
        until = self._now() + timedelta(seconds=self._tools.lease_seconds)
        return await leases.renew(connection, self._id, owner=self._tools.owner, until=until, values=values)

    async def _release(self) -> None:
        """Give the endpoint back, with when it is to be looked at again."""
        now = self._now()
        async with self._tools.turn, self._tools.database.transaction() as connection:
            row = await leases.release(connection, self._id, owner=self._tools.owner)
            if row is None:
                return
            health, due_at = self._health_in(row), await queue.next_due(connection, self._id)
            if await replay_store.can_go_on(connection, self._id):
                due_at = now
            resume_at = health.resume_at or now
            if self._full or self._undecided:
                again = now + timedelta(seconds=FULL_SECONDS if self._full else UNDECIDED_SECONDS)
                resume_at = max(resume_at, again if due_at is None else min(again, due_at))
            since = health.failing_since if due_at is not None or not row.enabled else None
            values = {"due_at": due_at, "resume_at": resume_at, "failing_since": since}
            await leases.leave(connection, self._id, values)

    def _now(self) -> datetime:
        return self._tools.clock.now()
