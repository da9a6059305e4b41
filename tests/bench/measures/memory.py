"""Memory of an API process at rest and after 200 000 requests of a mix; what it gains by a further 100 000."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.arms import Ours
from tests.bench.filling import fill_subscriptions
from tests.bench.session import get_request

if TYPE_CHECKING:
    from tests.bench.session import Session

ROUNDS = 2
MIX = {"/health/live": 55_000, "webhooks": 35_000, "reads": 10_000}
"""A hundred thousand."""


def run(session: Session) -> None:
    """Load a fresh process three times with a hundred thousand requests."""
    for _ in session.turns("memory", rounds=min(session.rounds, ROUNDS)):
        ours = Ours(session.machine)
        ours.prepare()
        ours.start()
        try:
            _measure(session, ours)
        finally:
            ours.stop()


def _measure(session: Session, ours: Ours) -> None:
    ids = fill_subscriptions(session.machine, ours.database, count=1000)
    session.record("memory at rest", "ours", ours.memory_mib(), "MiB")
    for _ in range(2):
        _hundred_thousand(session, ours, ids)
    after = ours.memory_mib()
    session.record("memory after 200 000 requests", "ours", after, "MiB")
    _hundred_thousand(session, ours, ids)
    session.record("memory gained per 100 000 requests", "ours", ours.memory_mib() - after, "MiB")


def _hundred_thousand(session: Session, ours: Ours, ids: list[str]) -> None:
    load = partial(session.drive, ours.port, connections=32, seconds=120 / session.pace, warmup=0, repeat=False)
    load(requests=[get_request("/health/live")] * MIX["/health/live"])
    load(webhooks=session.signed(ours, count=MIX["webhooks"]))
    reads = [get_request(f"/api/v1/subscriptions/{name}", api_key=ours.api_key) for name in ids]
    load(requests=reads * (MIX["reads"] // len(reads)))
