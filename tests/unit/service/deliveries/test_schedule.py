"""Ten attempts in 75 hours, and what a receiver can change about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.deliveries.schedule import (
    ATTEMPTS,
    DELAYS,
    MAXIMUM_RETRY_AFTER,
    next_attempt,
    parse_retry_after,
)

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def delay(made: int, *, retry_after: float | None = None, random: Random) -> float:
    due = next_attempt(made, now=NOW, retry_after=retry_after, random=random)
    assert due is not None
    return (due - NOW).total_seconds()


def test_ten_attempts_are_made_in_75_hours() -> None:
    assert ATTEMPTS == 10
    assert 75 <= sum(DELAYS) / 3600 < 76
    assert next_attempt(10, now=NOW, retry_after=None, random=Random(1)) is None
    assert next_attempt(11, now=NOW, retry_after=60, random=Random(1)) is None


@pytest.mark.parametrize("made", range(1, ATTEMPTS))
def test_each_delay_is_jittered_by_a_fifth(made: int) -> None:
    random = Random(made)
    delays = [delay(made, random=random) for _ in range(1000)]
    mean = DELAYS[made - 1]
    assert mean * 0.8 <= min(delays) < mean * 0.82
    assert mean * 1.18 < max(delays) <= mean * 1.2


def test_the_same_random_source_makes_the_same_schedule() -> None:
    first, second = Random(7), Random(7)
    assert [delay(made, random=first) for made in range(1, 10)] == [delay(made, random=second) for made in range(1, 10)]


def test_a_receiver_is_left_alone_as_long_as_it_asks_and_a_day_at_most() -> None:
    delays = [delay(1, retry_after=600, random=Random(seed)) for seed in range(100)]
    assert min(delays) >= 600
    assert max(delays) <= 720
    assert len(set(delays)) == 100
    assert delay(9, retry_after=1, random=Random(1)) > 60_000
    assert delay(1, retry_after=1e9, random=Random(1)) <= MAXIMUM_RETRY_AFTER * 1.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("999999999", MAXIMUM_RETRY_AFTER),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        ("Tue, 01 Dec 2026 00:05:00 -0000", 300),
        ("Tuesday, 01-Dec-26 00:05:00 GMT", 300),
        (format_datetime(NOW - timedelta(days=5), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=5), usegmt=True), MAXIMUM_RETRY_AFTER),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("9" * 5000, None),
        ("²", None),
        ("١٢", None),
        ("soon", None),
        ("Tue, 99 Dec 2026 00:05:00 GMT", None),
        ("Tue, 01 Dec 99999 00:05:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str | None, expected: float | None) -> None:
    assert parse_retry_after(text, now=NOW) == expected


@given(st.text())
def test_no_retry_after_is_a_fault(text: str) -> None:
    seconds = parse_retry_after(text, now=NOW)
    assert seconds is None or 0 <= seconds <= MAXIMUM_RETRY_AFTER
