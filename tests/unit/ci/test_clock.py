"""What CI's clock counts as run, for the next run to begin with what was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from tests.ci import history
from tests.ci.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "tests/cluster/test_smoke.py"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    monkeypatch.setattr(history, "file", lambda: tmp_path / "ci.json")
    made = Clock()
    made.began[MODULE], made.wanted[MODULE] = 0.0, 2
    return made


def finish(clock: Clock, outcome: Literal["passed", "skipped"], reason: str = "") -> None:
    where = (MODULE, 1, "test")
    longrepr = (MODULE, 1, f"Skipped: {reason}") if reason else None
    clock.pytest_runtest_logreport(pytest.TestReport("id", where, {}, outcome, longrepr, "setup"))
    clock.pytest_runtest_logfinish(where)


def test_a_module_that_ran_whole_is_remembered_even_where_a_test_is_for_other_machines(clock: Clock) -> None:
    finish(clock, "passed")
    finish(clock, "skipped", "only on arm64")
    assert clock.past[MODULE].ran == clock.today
    assert list(clock._lines()) == []


def test_what_lacked_a_program_that_there_was_no_time_to_build_was_not_run(clock: Clock) -> None:
    finish(clock, "passed")
    finish(clock, "skipped", "needs the add-on prometheus: make cluster-tools")
    assert MODULE not in clock.past
    assert list(clock._lines()) == [f"{MODULE}: 1 of its tests (never on this machine)"]
