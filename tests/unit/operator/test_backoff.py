"""How long what failed is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from payment_operator.backoff import LONGEST_SECONDS, Backoff, wait_after

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 2.0), (1, 4.0), (4, 32.0), (5, 60.0), (6, 60.0), (5000, 60.0)])
def test_waits_double_up_to_the_longest_however_often_it_fails(failures: int, seconds: float) -> None:
    assert wait_after(failures, first=2.0, longest=60.0) == seconds


def test_a_fault_says_when_to_try_again_until_it_is_forgotten() -> None:
    backoff = Backoff()
    assert [backoff.failed("away", now=NOW) for _ in range(3)] == [2.0, 4.0, 8.0]
    assert backoff.fault is not None
    assert (backoff.fault.message, backoff.fault.again_at) == ("away", NOW + timedelta(seconds=8))
    backoff.done()
    assert backoff == Backoff()
    assert backoff.failed("away", now=NOW) == 2.0
    assert LONGEST_SECONDS == 60.0
