"""Reads of one subscription, chosen as in real traffic (Zipf), with the cache and without it, and of a list.

Each round asks first for all draws once, untimed: entries live ten seconds, so a round finds those of the one before
too old. The hit rate is that of both passes, so it counts every first read of an entry.
"""

from __future__ import annotations

import random
import re
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import httpx
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
    uncached = Ours(session.machine, name="ours, no cache", PAYMENTS_CACHE_ENTRIES="0")
    arms: list[Arm] = [raw, ours, uncached, seed]
    try:
        for arm in arms:
            uncached.database = ours.database
            arm.prepare()
            arm.start()
        ids = fill_subscriptions(session.machine, ours.database, count=SUBSCRIPTIONS)
        session.machine.query(seed.database, _SEED_ROWS.format(count=SUBSCRIPTIONS))
        mine = [get_request(f"/api/v1/subscriptions/{name}", api_key=ours.api_key) for name in zipf(ids)]
        of_uncached = [get_request(f"/api/v1/subscriptions/{name}", api_key=uncached.api_key) for name in zipf(ids)]
        theirs = [get_request(f"/api/v1/subscriptions/{number}") for number in zipf(range(1, SUBSCRIPTIONS + 1))]
        pages = [get_request("/api/v1/subscriptions?limit=10", api_key=ours.api_key)]
        what = "read, Zipf, 32 in flight"
        for _ in session.turns("reads"):
            read(session, raw, [get_request("/")], what="hello, 32 in flight")
            before = cache_requests(ours)
            session.drive(ours.port, connections=32, seconds=30 / session.pace, warmup=0, requests=mine, repeat=False)
            read(session, ours, mine, what=what)
            session.record("hit rate, Zipf", "ours", hit_rate(before, cache_requests(ours)), "%")
            read(session, uncached, of_uncached, what=what)
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


def cache_requests(arm: Ours) -> dict[str, float]:
    """Return how many reads the caches answered, and how many they did not."""
    metrics = httpx.get(f"http://127.0.0.1:{arm.admin_port}/metrics").text
    found = re.findall(r'^payments_cache_requests_total\{result="(\w+)"\} (\S+)$', metrics, re.MULTILINE)
    return {result: float(count) for result, count in found}


def hit_rate(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the share of reads in between that a cache answered, in percent."""
    counts = {result: after[result] - before[result] for result in after}
    return 100 * (1 - counts["miss"] / sum(counts.values()))


def zipf(names: Sequence[Name]) -> list[Name]:
    """Draw names so that the n-th most popular is asked for 1/n^1.1 as often as the first; the same in every run."""
    chosen = random.Random(1)
    weights = [1 / rank**EXPONENT for rank in range(1, len(names) + 1)]
    return chosen.choices(names, weights=weights, k=DRAWS)
