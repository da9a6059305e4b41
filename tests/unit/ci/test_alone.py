"""Tests that fail among others run once more alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.ci.alone import MOST, second_arguments

ROOT = Path(__file__).parents[3]
UNSTEADY = """
from pathlib import Path
def test_steady(): pass
def test_unsteady():
    ran = Path(__file__).with_name("ran")
    first = not ran.exists()
    ran.touch()
    assert not first
"""


@pytest.fixture(autouse=True)
def whatever_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI_STARTED", "ALONE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they are most of what a start takes


def alone(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run the module's main on one file of tests."""
    file = folder / "test_some.py"
    file.write_text(source)
    command = [sys.executable, "-m", "tests.ci.alone", "-c", "/dev/null", "--rootdir", str(folder), "-q", str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_test_that_passes_alone_is_listed_and_fails_nothing(tmp_path: Path) -> None:
    ended = alone(tmp_path, UNSTEADY)
    assert ended.returncode == 0, ended.stdout
    assert "UNSTEADY, passed alone, to be mended: test_some.py::test_unsteady" in ended.stdout
    assert "1 passed, 1 deselected" in ended.stdout


def test_a_test_that_fails_alone_too_is_a_failure(tmp_path: Path) -> None:
    ended = alone(tmp_path, UNSTEADY + "def test_broken(): assert False\n")
    assert ended.returncode == 1, ended.stdout
    assert "UNSTEADY" not in ended.stdout


def test_a_test_that_is_skipped_alone_has_not_passed(tmp_path: Path) -> None:
    ended = alone(
        tmp_path, "import pytest\n" + UNSTEADY.replace("assert not first", "assert pytest.skip() if not first else 0")
    )
    assert ended.returncode == 1, ended.stdout
    assert "UNSTEADY" not in ended.stdout


def test_more_failures_than_a_few_are_not_tried_again(tmp_path: Path) -> None:
    ended = alone(tmp_path, "\n".join(f"def test_{n}(): assert False" for n in range(MOST + 1)))
    assert ended.returncode == 1, ended.stdout
    assert "once more" not in ended.stdout


def test_the_first_answer_counts_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALONE", "no")
    assert alone(tmp_path, UNSTEADY).returncode == 1


def test_the_second_run_has_one_process_and_no_plugin_that_chooses() -> None:
    arguments = ["-q", "--numprocesses", "3", "-p", "tests.ci.clock", "tests/unit"]
    assert second_arguments(arguments)[-2:] == ["-q", "tests/unit"]
