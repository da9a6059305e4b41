"""What the shared limiter adds to a request, with Redis there and with Redis frozen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.arms import Ours
from tests.bench.measures.create import bodies

if TYPE_CHECKING:
    from tests.bench.session import Session

SECONDS = 1.5
PER_SECOND = 200.0
LIMIT = "100000"
SETTINGS = ("PAYMENTS_ADDRESS_LIMIT_PER_MINUTE", "PAYMENTS_KEY_LIMIT_PER_MINUTE")
"""What a replay is counted against; a creation's own limit it never reaches."""


def run(session: Session) -> None:
    """Replay stored answers at a steady rate: without limiter, with it, and while Redis does not answer."""
    machine = session.machine
    limited = Ours(machine, name="limiter on", **dict.fromkeys(SETTINGS, LIMIT))
    limited.prepare()
    free = Ours(machine, name="limiter off", database=limited.database, **dict.fromkeys(SETTINGS, "0"))
    free.prepare()
    try:
        for arm in (limited, free):
            arm.start()
        requests = bodies(session, limited, count=10, mark="limited")
        session.drive(limited.port, connections=10, seconds=30, warmup=0, requests=requests, repeat=False)
        other = bodies(session, free, count=10, mark="limited")
        for _ in session.turns("limiter"):
            _turn(session, free, other, name="limiter off")
            _turn(session, limited, requests, name="limiter on")
            machine.valkey.pause()
            try:
                _turn(session, limited, requests, name="limiter on, Redis frozen")
            finally:
                machine.valkey.resume()
    finally:
        for arm in (limited, free):
            arm.stop()


def _turn(session: Session, arm: Ours, requests: list[bytes], *, name: str) -> None:
    work = partial(session.drive, arm.port, connections=16, seconds=SECONDS, requests=requests, rate=PER_SECOND)
    result = session.measured(arm, work).result
    session.record(f"replay p50 at {PER_SECOND:.0f}/s", name, result.quantile(0.5), "ms")
    session.record(f"replay p99 at {PER_SECOND:.0f}/s", name, result.quantile(0.99), "ms")
