"""The inbox under a test's hand: events are inserted and applied step by step, Stripe is the simulator over HTTP."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, select
from tests.servers.stack import development_settings

from payment_service.bootstrap import Parts, build
from payment_service.clock import MovableClock
from payment_service.events.rows import row_of
from payment_service.events.store import insert_events
from payment_service.http.server import Servers, listen
from payment_service.mirror.registry import KINDS
from payment_service.storage.feed_table import feed
from payment_service.storage.tables import cursors, events, outbox
from stripe_simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from payment_service.clock import Clock

UNSEEN = {
    *("created_at", "updated_at", "stripe_updated", "id", "customer_id", "joined", "joined_at", "address_since"),
    *("last_customer_id", "payment_methods_at"),
}
"""Columns that tell when something was seen here and under which id of ours, not what Stripe says."""
MIRROR = {kind: target.table for kind, target in KINDS.items()}
ROUNDS = 60


def seen(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that say what Stripe says."""
    return {name: value for name, value in columns.items() if name not in UNSEEN}


class Laboratory:
    """One database, one simulated account at a time."""

    def __init__(self, parts: Parts, clock: MovableClock) -> None:
        self.parts = parts
        self.clock = clock
        self.simulator = Simulator(clock=clock)
        self.called: Counter[str] = Counter()
        """Calls to Stripe, by path without the id."""

    async def reset(self) -> None:
        """Forget every row, and begin a new account."""
        async with self.parts.database.transaction() as connection:
            for table in (*MIRROR.values(), events, feed, outbox, cursors):
                await connection.execute(delete(table))
        self.simulator = Simulator(clock=self.clock)

    def history(self) -> list[dict[str, Any]]:
        """Return all events of the account, oldest first, as Stripe would send them."""
        encoded = [msgspec.json.encode(event) for event in reversed(self.simulator.state.all("event"))]
        return [msgspec.json.decode(body) for body in encoded]

    async def receive(self, content: Iterable[dict[str, Any]]) -> None:
        """Store events as the webhook route does after it has verified them."""
        now = self.clock.now()
        rows = [row_of(msgspec.json.encode(event), source="webhook", livemode=False, now=now) for event in content]
        async with self.parts.database.transaction() as connection:
            for row in rows:
                await insert_events(connection, [row])

    async def settle(self) -> None:
        """Apply until nothing waits; time passes for what waits for its moment."""
        for _ in range(ROUNDS):
            while await self.parts.worker.apply_batch() + await self.parts.worker.fetch_doubtful():
                pass
            if not await self.waiting():
                return
            self.clock.advance(1)
        raise AssertionError(await self.rows(events))

    async def waiting(self) -> int:
        """Count events that are not settled."""
        async with self.parts.database.read() as connection:
            statement = select(func.count()).select_from(events).where(events.c.state == "pending")
            return int((await connection.execute(statement)).scalar_one())

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        """Return all rows of a table."""
        async with self.parts.database.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(select(table))]

    async def mirror(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what the mirror says, by kind and Stripe's id."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for kind, target in KINDS.items():
            rows = await self.rows(target.table)
            found[kind] = {row[target.key]: seen(row) for row in rows}
        return found

    def since(self, seconds: int) -> datetime:
        """Return the moment so many seconds ago."""
        return datetime.fromtimestamp(self.clock.timestamp() - seconds, tz=UTC)


@asynccontextmanager
async def laboratory(database_url: str, *, base: Clock | None = None, **more: str) -> AsyncIterator[Laboratory]:
    """Serve the simulator and build the parts on a migrated database, by a clock that moves from `base` on."""
    clock = MovableClock(base)
    servers, socket = Servers(), listen("127.0.0.1", 0)
    settings = development_settings(
        database_url=database_url,
        stripe_url=f"http://127.0.0.1:{socket.getsockname()[1]}",
        PAYMENTS_STRIPE_BACKGROUND_RATE="1000",
        **more,
    )
    parts = build(settings, clock=clock)
    found = Laboratory(parts, clock)

    async def stripe(scope: Any, receive: Any, send: Any) -> None:
        found.called[scope["path"].removeprefix("/v1/").rpartition("/")[0]] += 1
        await found.simulator.api(scope, receive, send)

    await servers.start(stripe, socket)
    try:
        yield found
    finally:
        await parts.close()
        await servers.stop()
