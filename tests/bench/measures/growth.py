"""How cost grows with rows: ingest, reads, lists, also far into a list, and applying beside dead events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.arms import Ours
from tests.bench.filling import fill_events, fill_subscriptions
from tests.bench.measures.apply import applied_per_second
from tests.bench.measures.reads import read, zipf
from tests.bench.session import get_request

if TYPE_CHECKING:
    from tests.bench.session import Session

ROWS = (10_000, 100_000, 1_000_000)
DEAD = 100_000
ROUNDS = 2
SECONDS = 1.5


def run(session: Session) -> None:
    """Measure with ever more rows of events and of subscriptions."""
    ours = Ours(session.machine)
    ours.prepare()
    ours.start()
    have = 0
    try:
        session.record(
            "events applied, dead ones beside", "none", applied_per_second(session, ours, workers=1), "events/s"
        )
        fill_events(session.machine, ours.database, count=DEAD, state="dead")
        dead = f"{DEAD:,}".replace(",", " ")
        session.record(
            "events applied, dead ones beside", dead, applied_per_second(session, ours, workers=1), "events/s"
        )
        for rows in ROWS:
            session.say(f"growth: filling up to {rows} rows")
            fill_events(session.machine, ours.database, first=have + 1, count=rows)
            fill_subscriptions(session.machine, ours.database, first=have + 1, count=rows)
            have = rows
            for _ in session.turns(f"growth, {rows} rows", rounds=min(session.rounds, ROUNDS)):
                _turn(session, ours, rows)
    finally:
        ours.stop()


def _apply(session: Session, ours: Ours, *, beside: str) -> None:
    session.record("events applied, dead ones beside", beside, applied_per_second(session, ours, workers=1), "events/s")


def _turn(session: Session, ours: Ours, rows: int) -> None:
    size = f"{rows:,} rows".replace(",", " ")
    load = session.webhooks(ours, connections=32, seconds=SECONDS)
    session.record("webhooks as rows grow, 32 in flight", size, load.result.per_second, "events/s")
    subscriptions = "/api/v1/subscriptions"
    names = [f"lps_{number:012d}" for number in zipf(range(1, rows + 1))]
    middle = f"{subscriptions}?limit=10&starting_after=lps_{rows // 2:012d}"
    for what, paths in {
        "read as rows grow": [f"{subscriptions}/{name}" for name in names],
        "list, first page, as rows grow": [f"{subscriptions}?limit=10"],
        "list, page in the middle, as rows grow": [middle],
    }.items():
        requests = [get_request(path, api_key=ours.api_key) for path in paths]
        read(session, ours, requests, what=what, arm_name=size, seconds=SECONDS)
