"""Reads of one subscription, chosen as in real traffic (Zipf), and of a list."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tests.bench.arms import Arm, Ours, Raw, Seed
from tests.bench.filling import fill_subscriptions
from tests.bench.session import get_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.session import Session

Name = TypeVar("Name")
SUBSCRIPTIONS = 10_000
DRAWS = 20_000
EXPONENT = 1.1
SECONDS = 2.0
_SEED_ROWS = """
WITH made AS (INSERT INTO customers (email, stripe_customer_id) VALUES ('zipf@example.com', 'cus_zipf') RETURNING id)
INSERT INTO subscriptions (customer_id, stripe_subscription_id, price_id, status)
SELECT made.id, 'sub_' || n, 'price_x', 'active' FROM made, generate_series(1, {count}) n
"""


def run(session: Session) -> None:
    """Measure ours and S in turns, beside R."""
    ours, seed, raw = Ours(session.machine), Seed(session.machine), Raw(session.machine)
    arms: list[Arm] = [raw, ours, seed]
    try:
        for arm in arms:
            arm.prepare()
            arm.start()
        ids = fill_subscriptions(session.machine, ours.database, count=SUBSCRIPTIONS)
        session.machine.query(seed.database, _SEED_ROWS.format(count=SUBSCRIPTIONS))
        mine = [get_request(f"/api/v1/subscriptions/{name}", api_key=ours.api_key) for name in zipf(ids)]
        theirs = [get_request(f"/api/v1/subscriptions/{number}") for number in zipf(range(1, SUBSCRIPTIONS + 1))]
        pages = [get_request("/api/v1/subscriptions?limit=10", api_key=ours.api_key)]
        what = "read, Zipf, 32 in flight"
        for _ in session.turns("reads"):
            read(session, raw, [get_request("/")], what="hello, 32 in flight")
            read(session, ours, mine, what=what)
            read(session, seed, theirs, what=what)
            read(session, ours, pages, what="list of ten, 32 in flight")
    finally:
        for arm in arms:
            arm.stop()


def read(
    session: Session,
    arm: Arm,
    requests: list[bytes],
    *,
    what: str,
    arm_name: str = "",
    seconds: float = SECONDS,
) -> None:
    """Give one arm its turn."""
    work = partial(session.drive, arm.port, connections=32, seconds=seconds, requests=requests)
    load = session.measured(arm, work)
    session.record(what, arm_name or arm.name, load.result.per_second, "requests/s")
    session.record(f"{what}, CPU", arm_name or arm.name, load.cpu_microseconds, "µs")


def zipf(names: Sequence[Name]) -> list[Name]:
    """Draw names so that the n-th most popular is asked for 1/n^1.1 as often as the first; the same in every run."""
    chosen = random.Random(1)
    weights = [1 / rank**EXPONENT for rank in range(1, len(names) + 1)]
    return chosen.choices(names, weights=weights, k=DRAWS)
