"""Takes the endpoints that have something to do, each for a task of its own; how that goes is measured here too."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from payment_service.endpoints import queue
from payment_service.endpoints.holding import LEASE_SECONDS, Hold, Tools
from payment_service.feed.service import Feed
from payment_service.feed.store import last_sequence
from payment_service.observability.metrics import WEBHOOK_ENDPOINTS, WEBHOOK_OLDEST
from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.clock import Clock
    from payment_service.deliveries.sender import Sender
    from payment_service.endpoints.secrets import SigningKeys
    from payment_service.storage.database import Database

LOOK_SECONDS: Final = 0.5
TEND_SECONDS: Final = 15.0
HELD_AT_MOST: Final = 200
"""Endpoints of one worker; as many as there may be, so that none that hangs keeps another from its place."""
TURNS: Final = 3
"""Connections to the database that all holders of a worker use at once."""
GRACE_SECONDS: Final = 5.0
"""For attempts under way when the worker stops; those that last longer are made once more by another."""
TRIM_BATCH: Final = 500
TRIM_ROUNDS: Final = 40


class Deliverer:
    """The part of a worker that sends webhooks.

    Args:
        database: endpoints, deliveries and the feed.
        sender: sends one.
        keys: what secrets are derived from.
        clock: the time.
        livemode: Stripe's mode.
        retention_days: how long what became of deliveries is kept.
    """

    def __init__(
        self,
        database: Database,
        *,
        sender: Sender,
        keys: SigningKeys,
        clock: Clock,
        livemode: bool,
        retention_days: float,
    ) -> None:
        self._tools = Tools(
            database=database,
            feed=Feed(database, livemode=livemode),
            sender=sender,
            keys=keys,
            clock=clock,
            random=random.SystemRandom(),
            livemode=livemode,
            owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            turn=asyncio.Semaphore(TURNS),
            stopping=asyncio.Event(),
        )
        self._retention = timedelta(days=retention_days)
        self._held: dict[str, asyncio.Task[None]] = {}

    @property
    def duties(self) -> tuple[tuple[float, Callable[[], Awaitable[None]]], ...]:
        """What a worker has to do again and again, each with the seconds between."""
        return (LOOK_SECONDS, self.look), (TEND_SECONDS, self.tend)

    async def look(self) -> None:
        """Begin to send to the endpoints that have something to do."""
        room = HELD_AT_MOST - len(self._held)
        if room <= 0 or self._tools.stopping.is_set():
            return
        database, now = self._tools.database, self._tools.clock.now()
        async with database.read() as connection:
            last = await last_sequence(connection)
            wanted = queue.Claim(
                owner=self._tools.owner,
                now=now,
                until=now + timedelta(seconds=LEASE_SECONDS),
                livemode=self._tools.livemode,
                last=last,
                held=tuple(self._held),
                limit=room,
            )
            if not await queue.waits(connection, wanted):
                return
        async with database.transaction() as connection:
            claimed = await queue.claim(connection, wanted)
        for endpoint_id in claimed:
            task = begin(Hold(endpoint_id, self._tools).run())
            self._held[endpoint_id] = task
            task.add_done_callback(partial(self._forget, endpoint_id))

    def _forget(self, endpoint_id: str, _: asyncio.Task[None]) -> None:
        self._held.pop(endpoint_id, None)

    async def tend(self) -> None:
        """Refresh the gauges, and remove deliveries that are past their retention."""
        now = self._tools.clock.now()
        async with self._tools.database.read() as connection:
            oldest, states = await queue.measure(connection, livemode=self._tools.livemode)
        WEBHOOK_OLDEST.set(0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
        for state, number in states.items():
            WEBHOOK_ENDPOINTS.labels(state).set(number)
        for _ in range(TRIM_ROUNDS):
            async with self._tools.database.transaction() as connection:
                removed = await queue.trim(connection, before=now - self._retention, limit=TRIM_BATCH)
            if removed < TRIM_BATCH or self._tools.stopping.is_set():
                break

    async def close(self) -> None:
        """Begin no more attempts, wait a little for those under way, and give all endpoints back."""
        self._tools.stopping.set()
        held = set(self._held.values())
        if held:
            await asyncio.wait(held, timeout=GRACE_SECONDS)
            await end(held)
        await self._tools.sender.close()
