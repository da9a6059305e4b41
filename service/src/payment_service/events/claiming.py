"""Takes due events for one worker and reads them: one that cannot be read never costs the others their claim."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

from payment_service.events import store
from payment_service.events.payloads import Unreadable
from payment_service.events.rows import reason_of, to_event
from payment_service.mirror.registry import label_of
from payment_service.observability import loggable
from payment_service.observability.metrics import EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.events.schemas import ClaimedEvent, InboxEvent
    from payment_service.storage.database import Database

log = structlog.get_logger("payments")


class Claims:
    """The claims of one worker.

    Args:
        database: the inbox.
        clock: the time.
        settings: lease and attempts.
        owner: of the leases, unique among all workers.
    """

    def __init__(self, database: Database, *, clock: Clock, settings: WorkSettings, owner: str) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._owner = owner

    async def take(self, *, limit: int, fetch: bool) -> tuple[int, list[InboxEvent]]:
        """Claim due events; return how many there were, and those that can be applied.

        One that ended every process that took it is dead, and so is one that cannot be read: it never can be.
        """
        async with self._database.transaction() as connection:
            claimed = await store.claim(
                connection,
                owner=self._owner,
                now=self._clock.now(),
                lease_seconds=self._settings.event_lease_seconds,
                limit=limit,
                fetch=fetch,
            )
        events: list[InboxEvent] = []
        dead: dict[str, list[ClaimedEvent]] = {}
        for row in claimed:
            try:
                if row.attempts > self._settings.event_max_attempts:
                    dead.setdefault("worker_ended", []).append(row)
                else:
                    events.append(to_event(row))
            except Unreadable as error:
                dead.setdefault(reason_of(error), []).append(row)
        if dead:
            await self._bury(dead)
        return len(claimed), events

    async def settle(self, events: Sequence[ClaimedEvent], state: str, *, error: str | None = None) -> None:
        """End events, as far as this worker still holds them."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            held = await store.settle(connection, ids_of(events), state=state, now=now, owner=self._owner, error=error)
        self.report(events, state, held=held)

    def report(self, events: Sequence[ClaimedEvent], outcome: str, *, held: set[str]) -> None:
        """Count and log what this worker settled; what it no longer held, another one settles.

        So many as the setting says have a line of their own, and the others of the batch one together.
        """
        settled = [event for event in events if event.id in held]
        for event_type, count in Counter(event.type for event in settled).items():
            EVENTS.labels(label_of(event_type), outcome).inc(count)
        lines = len(settled) if outcome == "dead" else self._settings.event_lines
        for event in settled[:lines]:
            log.info("event_settled", **named(event), outcome=outcome)
        if len(settled) > lines:
            log.info("events_settled", count=len(settled) - lines, outcome=outcome)

    async def _bury(self, dead: dict[str, list[ClaimedEvent]]) -> None:
        """Give events up, by reason, in one transaction."""
        now = self._clock.now()
        held: set[str] = set()
        async with self._database.transaction() as connection:
            for reason, rows in dead.items():
                held |= await store.settle(
                    connection, ids_of(rows), state="dead", now=now, owner=self._owner, error=reason
                )
        for reason, rows in dead.items():
            log.warning("events_given_up", event_ids=[loggable.object_id(row.id) for row in rows], error=reason)
            self.report(rows, "dead", held=held)


def ids_of(events: Sequence[ClaimedEvent]) -> list[str]:
    """Return the events' ids."""
    return [event.id for event in events]


def named(event: ClaimedEvent) -> dict[str, str]:
    """Return how log lines name an event."""
    return {
        "event_id": loggable.object_id(event.id),
        "type": loggable.event_type(event.type),
        "object": loggable.object_id(event.object_id),
    }
