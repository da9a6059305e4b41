"""What applying costs, by part: processor time and statements, not wall time, so that a busy machine tells the same.

`python -m tests.bench.applying` applies events in this process, on a PostgreSQL of its own, and prints microseconds of
processor time an event: of each part of the worker, and of the server's process that works for it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
import psutil  # type: ignore[import-untyped] # ships no types
from sqlalchemy import event, text
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory
from tests.servers.postgres import DURABLE, PostgresServer, wheel_programs
from tests.servers.stack import migrate

from payment_service.events import applier, claiming, snapshot_batch, store
from payment_service.events.rows import row_of
from payment_service.observability.logging import configure_logging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH: Final = 500
PARTS: Final = (
    (store, "claim", "claim"),
    (claiming, "to_event", "decode"),
    (applier, "reopen", "people"),
    (snapshot_batch, "write_batch", "write"),
    (snapshot_batch, "write_changes", "outbox"),
    (applier.Applier, "_let_follow", "follow"),
    (store, "settle", "settle"),
    (store, "try_again", "settle"),
    (claiming.Claims, "report", "log"),
)
"""Where each part begins: what is called, and the part's name."""


class Meter:
    """Processor time of this process by part; what a part calls that is one too counts for that alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.statements = 0
        self._parts = ["rest"]
        self._since = time.process_time()

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        """Count for a part from here on."""
        self._switch()
        self._parts.append(part)
        try:
            yield
        finally:
            self._switch()
            self._parts.pop()

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count what a function takes for a part."""
        plain = getattr(owner, name)
        counting = self._asynchronous if asyncio.iscoroutinefunction(plain) else self._plain
        setattr(owner, name, counting(plain, part))

    def _plain(self, plain: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(plain)
        def counted(*arguments: Any, **more: Any) -> Any:
            with self.within(part):
                return plain(*arguments, **more)

        return counted

    def _asynchronous(self, plain: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(plain)
        async def counted(*arguments: Any, **more: Any) -> Any:
            with self.within(part):
                return await plain(*arguments, **more)

        return counted

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now


def subscriptions(lab: Laboratory, count: int) -> list[dict[str, Any]]:
    """Return events of so many new subscriptions, as `make bench` sends them."""
    account = Account(lab.simulator, lab.clock, Random(1), cards=("pm_card_visa",))
    account.do("subscribe")
    told = next(found for found in lab.history() if found["type"] == "customer.subscription.created")
    body, made = msgspec.json.encode(told), told["data"]["object"]["id"].encode()
    bodies = (body.replace(made, b"sub_%07d" % n).replace(told["id"].encode(), b"evt_%07d" % n) for n in range(count))
    return [msgspec.json.decode(found) for found in bodies]


def histories(lab: Laboratory, count: int) -> list[dict[str, Any]]:
    """Return at least so many events of customers who sign up, one second apart."""
    account = Account(lab.simulator, lab.clock, Random(1), cards=("pm_card_visa",))
    made = 0
    while made < count:
        account.do("subscribe")
        lab.clock.advance(1)
        made = len(lab.simulator.state.all("event"))
    return lab.history()


async def fill(lab: Laboratory, content: list[dict[str, Any]]) -> None:
    """Store events as they come from the webhook route."""
    now = lab.clock.now()
    rows = [row_of(msgspec.json.encode(told), source="webhook", livemode=False, now=now) for told in content]
    for start in range(0, len(rows), BATCH):
        async with lab.parts.database.connect() as connection:
            await store.ARRIVED.run_batch(connection, rows[start : start + BATCH])


async def measure(url: str, *, history: bool, count: int) -> dict[str, Any]:
    """Apply events and return what it cost."""
    async with laboratory(url, PAYMENTS_DATABASE_POOL_SIZE="2") as lab:
        configure_logging(replace(lab.parts.settings, environment="production"))
        content = (histories if history else subscriptions)(lab, count)
        await lab.receive(content[:50])
        await lab.parts.worker.apply_batch()
        await fill(lab, content[50:])
        meter = Meter()
        for owner, name, part in PARTS:
            meter.watch(owner, name, part)

        def count_statement(*_: Any) -> None:
            meter.statements += 1

        event.listen(lab.parts.database.engine.sync_engine, "before_cursor_execute", count_statement)
        return await apply(lab, meter)


async def apply(lab: Laboratory, meter: Meter) -> dict[str, Any]:
    """Apply what waits, snapshots only."""
    async with lab.parts.database.read() as connection:
        backend = psutil.Process((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
    before = sum(backend.cpu_times()[:2])
    done, batches, began, cpu = 0, 0, time.monotonic(), time.process_time()
    while claimed := await lab.parts.worker.apply_batch():
        done, batches = done + claimed, batches + 1
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    server = sum(backend.cpu_times()[:2]) - before
    parts = {
        part: round(seconds / done * 1e6, 1)
        for part, seconds in sorted(meter.seconds.items(), key=lambda item: -item[1])
    }
    return {
        "events": done,
        "events a batch": done / batches,
        "statements a batch": meter.statements / batches,
        "wall": round(wall / done * 1e6),
        "worker": round(cpu / done * 1e6),
        "server": round(server / done * 1e6),
        **parts,
        "in doubt": await lab.waiting(),
    }


@click.command()
@click.option("--count", default=3000)
@click.option("--history", is_flag=True)
def main(*, count: int, history: bool) -> None:
    """Print what an event costs."""
    server = PostgresServer(wheel_programs(), settings=DURABLE)
    server.create()
    server.start()
    try:
        url = server.new_database()
        migrate(url)
        found = asyncio.run(measure(url, history=history, count=count))
    finally:
        server.remove()
    for name, value in found.items():
        click.echo(f"{name:20} {value}")


if __name__ == "__main__":
    main()
