"""Constant load around something that happens to a release, and the proof that nothing was lost."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.chart.release import Release

SAMPLE, WHOLE = 1_500, 21_000
RATE, FRESH = 90.0, 30.0
"""Requests a second over kept connections and on fresh ones: what two busy cores send besides everything else."""
SETTLE_SECONDS = 5.0
LONGEST_SECONDS = 900.0
"""A busy machine sends less than the rates say."""


@contextmanager
def loaded(release: Release, what: str, *, whole: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Deliver events before, while and after the body runs; none may fail, and each must have its row."""
    wanted = WHOLE if whole else SAMPLE
    rows = stored(release)
    with release.webhooks(seconds=3600, rate=RATE, fresh=FRESH) as load:
        started = time.monotonic()
        time.sleep(SETTLE_SECONDS)
        yield
        took = time.monotonic() - started - SETTLE_SECONDS
        time.sleep(SETTLE_SECONDS)
        release.namespace.until(lambda: stored(release) - rows >= wanted, seconds=LONGEST_SECONDS)
        load.stop()
        result = load.result()
    say(f"{what}: took {took:.0f} s; {summary(result)}")
    assert result["total"] >= wanted
    assert result["failed"] == 0, result["failed_by_kind"]
    assert stored(release) - rows == result["total"]


def stored(release: Release) -> int:
    """Return how many of the load's events have a row."""
    return int(release.psql("SELECT count(*) FROM events WHERE type = 'load.sent'"))


def summary(result: dict[str, Any]) -> str:
    """Return the numbers of a run as one line."""
    modes = ", ".join(f"{mode} {counts['total']}" for mode, counts in result["modes"].items())
    latency = result["latency_ms"]
    return f"{result['failed']} of {result['total']} failed ({modes}); p50 {latency['p50']} ms, p99 {latency['p99']} ms"
