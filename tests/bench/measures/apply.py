"""How fast workers apply the inbox: from receipt to applied row."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.bench.arms import Ours, Worker
from tests.bench.session import UnequalWork

if TYPE_CHECKING:
    from tests.bench.session import Session

EVENTS = 1000
WORKERS = (1, 2, 4)
ROUNDS = 3
WAIT_SECONDS = 60.0
_LEFT = "SELECT count(*) FROM events WHERE state = 'pending'"
_RATE = """
SELECT count(*)::float8 / extract(epoch FROM max(settled_at) - min(settled_at)) FROM events WHERE state = 'applied'
AND id LIKE 'evt_b%'
"""


def run(session: Session) -> None:
    """Apply so many events with one, two and four workers, in turns."""
    ours = Ours(session.machine)
    ours.prepare()
    ours.start()
    try:
        for _ in session.turns("apply", rounds=min(session.rounds, ROUNDS)):
            for count in WORKERS:
                per_second = applied_per_second(session, ours, workers=count)
                session.record(
                    "events applied", f"{count} workers" if count > 1 else "1 worker", per_second, "events/s"
                )
    finally:
        ours.stop()


def applied_per_second(session: Session, ours: Ours, *, workers: int) -> float:
    """Send events, start workers, and return how many a second they applied.

    Raises:
        UnequalWork: some were not applied in time.
    """
    machine = session.machine
    machine.query(ours.database, "DELETE FROM events WHERE id LIKE 'evt_b%'")
    signed = session.signed(ours, count=EVENTS)
    session.drive(ours.port, connections=32, seconds=60, warmup=0, repeat=False, webhooks=signed)
    started = [Worker(machine, name=f"worker {number}", database=ours.database) for number in range(workers)]
    try:
        for worker in started:
            worker.start()
        deadline = time.monotonic() + WAIT_SECONDS
        while machine.count(ours.database, _LEFT):
            if time.monotonic() > deadline:
                raise UnequalWork("events wait to be applied for more than a minute")
            time.sleep(0.2)
    finally:
        for worker in started:
            worker.stop()
    return float(machine.query(ours.database, _RATE)[0][0])
