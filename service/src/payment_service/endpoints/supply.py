"""What is to be sent to one endpoint next: read a little ahead of the sending, so that many share one reading.

Of each object at most one delivery is here or under way, the first that is pending, so those of an object keep their
order whatever is read ahead. What was read more than a second ago is read again: a person may have skipped it since.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.endpoints import queue
from payment_service.endpoints.reading import made_test

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Iterable
    from random import Random

    from payment_service.clock import Clock
    from payment_service.deliveries.sender import Sender
    from payment_service.endpoints.rows import DeliveryRow
    from payment_service.endpoints.secrets import SigningKeys
    from payment_service.feed.schemas import FeedEvent
    from payment_service.feed.service import Feed
    from payment_service.storage.database import Database

BATCH: Final = 64
FRESH_SECONDS: Final = 1.0
RECENT: Final = 2_000
"""Events that are remembered at most."""


class Recent:
    """Events that were made within the last second: several endpoints want the same."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[float, FeedEvent]] = {}

    def put(self, events: Iterable[FeedEvent]) -> None:
        """Remember events."""
        now = time.monotonic()
        if len(self._made) >= RECENT:
            self._made.clear()
        self._made.update((event.sequence, (now, event)) for event in events)

    def get(self, sequences: Iterable[int]) -> dict[int, FeedEvent]:
        """Return those of these that are remembered."""
        since = time.monotonic() - FRESH_SECONDS
        found = ((sequence, self._made.get(sequence)) for sequence in sequences)
        return {sequence: one[1] for sequence, one in found if one is not None and one[0] >= since}


class Tools(NamedTuple):
    """What all holders of a process share."""

    database: Database
    feed: Feed
    recent: Recent
    sender: Sender
    keys: SigningKeys
    clock: Clock
    random: Random
    livemode: bool
    owner: str
    """Of the leases."""
    lease_seconds: float
    turn: asyncio.Semaphore
    """To the database: those who send leave connections to those who apply events."""
    stopping: asyncio.Event


class Due(NamedTuple):
    """A delivery that is to be tried."""

    delivery: DeliveryRow
    event: FeedEvent | None
    """None: it is kept no more."""


class Supply:
    """The next deliveries of one endpoint, for who holds it: what is new, or with `again` what a replay sends."""

    def __init__(self, endpoint_id: str, tools: Tools, *, again: bool) -> None:
        self._id = endpoint_id
        self._tools = tools
        self._again = again
        self._ready: list[Due] = []
        self._read_at = float("-inf")

    async def take(self, count: int, *, busy: Collection[str]) -> list[Due]:
        """Return at most so many deliveries to be tried now, of none of the objects that are busy."""
        if len(self._ready) < count or time.monotonic() - self._read_at > FRESH_SECONDS:
            self._ready = await self._read(busy)
            self._read_at = time.monotonic()
        taken: list[Due] = []
        left: list[Due] = []
        for due in self._ready:  # something new of an object may have begun since what a replay sends was read
            (taken if len(taken) < count and due.delivery.object_id not in busy else left).append(due)
        self._ready = left
        return taken

    async def _read(self, busy: Collection[str]) -> list[Due]:
        tools = self._tools
        async with tools.turn, tools.database.read() as connection:
            rows = await queue.due(
                connection, self._id, now=tools.clock.now(), without=busy, limit=BATCH, again=self._again
            )
            sequences = [row.sequence for row in rows if row.sequence is not None]
            events = tools.recent.get(sequences)
            if missing := [sequence for sequence in sequences if sequence not in events]:
                made = await tools.feed.at(connection, missing)
                tools.recent.put(made.values())
                events |= made
        tests = {row.id: made_test(row, livemode=tools.livemode) for row in rows if row.sequence is None}
        return [Due(row, tests.get(row.id) if row.sequence is None else events.get(row.sequence)) for row in rows]
