"""What is skipped is listed; under CI=true nothing is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BODY = """
import pytest
from tests.requirements import require


@pytest.mark.parametrize("number", [1, 2])
def test_wants(number):
    require(False, what="a moon", command="make moon")
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a test that wants what no machine has, under the project's own plugin."""
    wanting = folder / "test_wanting.py"
    wanting.write_text(BODY)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    return subprocess.run(
        [*command, "--rootdir", str(folder), str(wanting), *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [(), ("--numprocesses", "2")], ids=["one process", "two processes"])
def test_what_is_skipped_is_listed_with_the_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    answer = run(tmp_path, *arguments)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2 tests: a moon: make moon" in answer.stdout


def test_under_ci_it_fails_instead(tmp_path: Path) -> None:
    answer = run(tmp_path, CI="true")
    assert answer.returncode == 1
    assert "a moon is missing; get it: make moon" in answer.stdout
