"""Takes the endpoints that have something to do, each for a task of its own; how that goes is measured here too.

A look is one question to the database. It is begun by what is new in the feed, by who changes an endpoint, by the end
of a hold and by the time at which the next delivery is due; so where nothing happens hardly anything is asked.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from payment_service.endpoints import leases, queue, replay_store
from payment_service.endpoints.holding import Hold
from payment_service.endpoints.supply import Recent, Tools
from payment_service.feed.service import Feed
from payment_service.observability.metrics import WEBHOOK_ENDPOINTS, WEBHOOK_OLDEST
from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.deliveries.sender import Sender
    from payment_service.endpoints.secrets import SigningKeys
    from payment_service.storage.database import Database

LOOK_SECONDS: Final = 5.0
"""Between two looks that nobody asked for: what tells of events is heard as a rule, not for certain."""
PAUSE_SECONDS: Final = 0.05
"""Until a look that was asked for, so that it is one for all who ask at the same time."""
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
        lease_seconds: for how long an endpoint stays with a worker that is heard of no more.
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
        lease_seconds: float,
        retention_days: float,
    ) -> None:
        self._tools = Tools(
            database=database,
            feed=Feed(database, livemode=livemode),
            recent=Recent(),
            sender=sender,
            keys=keys,
            clock=clock,
            random=random.SystemRandom(),
            livemode=livemode,
            owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            lease_seconds=lease_seconds,
            turn=asyncio.Semaphore(TURNS),
            stopping=asyncio.Event(),
        )
        self._retention = timedelta(days=retention_days)
        self._held: dict[str, asyncio.Task[bool]] = {}
        self._next: asyncio.TimerHandle | None = None
        self.woken = asyncio.Event()
        """Set when it is time to look."""

    def wake(self) -> None:
        """Have it looked soon; the caller does not wait."""
        self._look_in(PAUSE_SECONDS)

    def _look_in(self, seconds: float) -> None:
        """Have it looked after so many seconds, unless that happens sooner."""
        loop = asyncio.get_running_loop()
        if self._next is not None:
            if self._next.when() <= loop.time() + seconds:
                return
            self._next.cancel()
        self._next = loop.call_later(seconds, self._set_woken)

    def _set_woken(self) -> None:
        self._next = None
        self.woken.set()

    async def look(self) -> None:
        """Begin to send to the endpoints that have something to do, and note when others will."""
        room = HELD_AT_MOST - len(self._held)
        if room <= 0 or self._tools.stopping.is_set():
            return
        now, livemode, held = self._tools.clock.now(), self._tools.livemode, tuple(self._held)
        async with self._tools.database.read() as connection:
            last, moments = await leases.moments(connection, livemode=livemode, held=held)
        if any(moment <= now for moment in moments):
            wanted = leases.Claim(
                owner=self._tools.owner,
                now=now,
                until=now + timedelta(seconds=self._tools.lease_seconds),
                livemode=livemode,
                last=last,
                held=held,
                limit=room,
            )
            await self._take(wanted)
        later = min((moment for moment in moments if moment > now), default=None)
        if later is not None:
            self._look_in((later - now).total_seconds())

    async def _take(self, wanted: leases.Claim) -> None:
        async with self._tools.database.transaction() as connection:
            claimed = await leases.claim(connection, wanted)
        for endpoint_id in claimed:
            task = begin(Hold(endpoint_id, self._tools).run())
            self._held[endpoint_id] = task
            task.add_done_callback(partial(self._forget, endpoint_id))

    def _forget(self, endpoint_id: str, task: asyncio.Task[bool]) -> None:
        self._held.pop(endpoint_id, None)
        if not (task.cancelled() or self._tools.stopping.is_set()) and task.result():
            self.wake()  # an endpoint that cannot be held is not tried again at once

    async def tend(self) -> None:
        """Refresh the gauges, and remove deliveries and replays that are past their retention."""
        now = self._tools.clock.now()
        async with self._tools.database.read() as connection:
            oldest, states = await queue.measure(connection, livemode=self._tools.livemode)
        WEBHOOK_OLDEST.set(0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
        for state, number in states.items():
            WEBHOOK_ENDPOINTS.labels(state).set(number)
        async with self._tools.database.transaction() as connection:
            await replay_store.trim(connection, before=now - self._retention)
        for _ in range(TRIM_ROUNDS):
            async with self._tools.database.transaction() as connection:
                removed = await queue.trim(connection, before=now - self._retention, limit=TRIM_BATCH)
            if removed < TRIM_BATCH or self._tools.stopping.is_set():
                break

    async def close(self) -> None:
        """Begin no more attempts, wait a little for those under way, and give all endpoints back."""
        self._tools.stopping.set()
        if self._next is not None:
            self._next.cancel()
        held = set(self._held.values())
        if held:
            await asyncio.wait(held, timeout=GRACE_SECONDS)
            await end(held)
        await self._tools.sender.close()
