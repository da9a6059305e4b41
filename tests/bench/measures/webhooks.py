"""Webhook ingest: durable events per second, latency, flushes of the log, processor time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.arms import Ours, Seed, djstripe_arms
from tests.bench.pgbench import PgBench

if TYPE_CHECKING:
    from tests.bench.arms import Arm
    from tests.bench.session import Session

IN_FLIGHT = (1, 8, 32, 64)
SECONDS = 2.5
STEADY_PER_SECOND = 300.0
"""Of the open loop: every arm but dj-stripe can keep up."""


def run(session: Session) -> None:
    """Measure every arm at each number of requests in flight, in turns."""
    arms: list[Arm] = [Ours(session.machine), Seed(session.machine)]
    deferred = djstripe_arms(session.machine)
    pgbench = PgBench(session)
    for arm in (*arms, deferred[0]):
        session.say(f"webhooks: preparing {arm.name}")
        arm.prepare()
    pgbench.prepare()
    deferred[1].share(deferred[0])
    arms += deferred
    second = Ours(session.machine, name="second process", database=arms[0].database)
    try:
        for arm in (*arms, second):
            arm.start()
        for _ in session.turns("webhooks"):
            _turn(session, arms, pgbench)
            together = session.webhooks(arms[0], connections=32, seconds=SECONDS, more_ports=(second.port,))
            session.record("webhooks, 32 in flight", "ours, 2 processes", together.result.per_second, "events/s")
        for _ in session.turns("webhooks at a steady rate"):
            for arm in arms[:2]:
                load = session.webhooks(arm, connections=64, seconds=SECONDS, rate=STEADY_PER_SECOND)
                for share in (0.5, 0.99):
                    name = f"webhook p{share * 100:.0f} at {STEADY_PER_SECOND:.0f}/s, open loop"
                    session.record(name, arm.name, load.result.quantile(share), "ms")
    finally:
        for arm in (*arms, second):
            arm.stop()


def _turn(session: Session, arms: list[Arm], pgbench: PgBench) -> None:
    for count in IN_FLIGHT:
        for arm in arms:
            if arm.name == "D sync" and count not in {1, 32}:
                continue
            ingest(session, arm, in_flight=count, seconds=SECONDS)
        per_second, milliseconds = pgbench.run(clients=count, seconds=SECONDS)
        session.record(f"webhooks, {count} in flight", "P", per_second, "events/s")
        if count == 1:
            session.record("webhook p50, 1 in flight", "P", milliseconds, "ms")
    per_second, _ = pgbench.run(clients=16, seconds=SECONDS)
    session.record("webhooks, 16 in flight", "P", per_second, "events/s")


def ingest(session: Session, arm: Arm, *, in_flight: int, seconds: float) -> None:
    """Give one arm its turn."""
    load = session.webhooks(arm, connections=in_flight, seconds=seconds)
    session.record(f"webhooks, {in_flight} in flight", arm.name, load.result.per_second, "events/s")
    session.record(f"webhook p50, {in_flight} in flight", arm.name, load.result.quantile(0.5), "ms")
    session.record(f"webhook p99, {in_flight} in flight", arm.name, load.result.quantile(0.99), "ms")
    if in_flight == 32:
        session.record("WAL syncs per event, 32 in flight", arm.name, load.wal_syncs, "syncs")
        session.record("CPU per event, 32 in flight", arm.name, load.cpu_microseconds, "µs")
