"""What the benchmark says of its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.bench.generator import Result
from tests.bench.report import BEGIN, END, GOALS, Goal, document, number, tables
from tests.bench.session import Session
from tests.bench.smoke import LIMITS, WAL_SYNCS_AT_MOST, failures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def session() -> Session:
    made = Session(cast("Any", None), rounds=3)
    for value in (90.0, 10.0, 30.0):
        made.record("speed", "ours", value, "requests/s")
    made.record("speed", "R", 60.0, "requests/s")
    return made


def test_a_goal_compares_medians(session: Session) -> None:
    at_least = Goal("speed", "speed", 0.5, divided_by=("speed", "R"))
    assert at_least.value(session) == 0.5
    assert at_least.met(0.5)
    assert not at_least.met(0.49)
    at_most = Goal("speed", "speed", -30, at_most=True, minus=("speed", "R"))
    assert at_most.value(session) == -30
    assert at_most.met(-30)
    assert not at_most.met(-29)


def test_a_goal_without_samples_is_left_out(session: Session) -> None:
    assert Goal("other", "other", 1).value(session) is None
    assert Goal("speed", "speed", 1, divided_by=("speed", "P")).value(session) is None
    assert [line for line in tables(session) if line.startswith("| goal")] == []


def test_the_document_keeps_what_stands_around_the_tables(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    document(session, file)
    text = file.read_text()
    assert text.startswith(f"before\n{BEGIN}\n## The last whole run")
    assert text.endswith(f"{END}\nafter\n")
    assert "| speed | ours | 30 | 10 to 90 | requests/s |" in text
    assert "old" not in text


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (0.12345, 12.345, 1234.5, 1234567.0)] == ["0.123", "12.3", "1 234", "1 234 567"]


def test_every_goal_is_named_once() -> None:
    assert len({goal.text for goal in GOALS}) == len(GOALS)


def test_quantiles_are_of_the_sorted_samples() -> None:
    result = Result(seconds=2.0, milliseconds=[5.0, 1.0, 4.0, 2.0])
    assert (result.per_second, result.quantile(0.5), result.quantile(0.99)) == (2.0, 4.0, 5.0)


def test_the_smoke_run_fails_beyond_a_limit_only() -> None:
    usual = {limit.name: limit.usual for limit in LIMITS} | {"WAL syncs": 0.05}
    assert failures(usual) == []
    assert failures({**usual, "webhook": 1000.0}) != []
    assert failures({**usual, "WAL syncs": WAL_SYNCS_AT_MOST + 0.01}) != []


def test_limits_leave_noise_its_room() -> None:
    assert all(limit.at_most >= 2 * limit.usual for limit in LIMITS)
