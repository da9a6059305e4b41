"""Runs pytest, and the few tests that failed once more alone: `python -m tests.ci.alone <pytest's arguments>`.

Thousands of tests with real servers on two cores, on a machine that may be 2.5 times slower and is shared, meet a
connection that takes too long now and then. A test that fails among others and passes alone is listed as unsteady,
which is a fault to mend, of the test or of the code; one that fails alone too, and more than `MOST` at once, is a
failure. `ALONE=no` takes the first answer.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.ci.clock import UNTIL_MINUTE, minute

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 5
"""More failures than these have one cause that no second run heals."""
OF_THE_FIRST_RUN = ("--numprocesses", "-n", "-p")
"""Options with a value that the second run leaves out: more processes, and plugins that choose what runs."""


def second_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of the second run: one process, no plugins of the first."""
    kept, values = [], iter(arguments)
    for argument in values:
        if argument in OF_THE_FIRST_RUN:
            next(values, None)
        else:
            kept.append(argument)
    return ["-p", "no:randomly", "--last-failed", "--last-failed-no-failures", "none", *kept]


def failed(cache: Path) -> list[str]:
    """Return the ids of the tests that failed last."""
    try:
        return sorted(json.loads((cache / "v" / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:
        return []


def wanted() -> bool:
    """Tell whether there is a second run: unless it is refused, or CI's clock leaves no time for it."""
    late = "CI_STARTED" in os.environ and minute() > UNTIL_MINUTE
    return os.environ.get("ALONE") != "no" and not late


def run(arguments: Sequence[str], *, cache: Path) -> int:
    """Run pytest in a process of its own and return its exit status."""
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    return subprocess.run(command, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Return pytest's exit status, that of the second run where there was one."""
    with tempfile.TemporaryDirectory(prefix="pytest-cache-") as folder:
        cache = Path(folder)
        code = run(arguments, cache=cache)
        names = failed(cache)
        if code != pytest.ExitCode.TESTS_FAILED or not 0 < len(names) <= MOST or not wanted():
            return code
        say(f"failed among others, now once more alone: {', '.join(names)}")
        report = cache / "alone.xml"
        code = run([*second_arguments(arguments), f"--junitxml={report}"], cache=cache)
        if code == pytest.ExitCode.OK and not all_passed(report, count=len(names)):
            say("not all of them ran alone, and what was skipped has not passed")
            return int(pytest.ExitCode.TESTS_FAILED)
        if code == pytest.ExitCode.OK:
            say(f"UNSTEADY, passed alone, to be mended: {', '.join(names)}")
        return code


def all_passed(report: Path, *, count: int) -> bool:
    """Tell whether so many tests ran and none was skipped, by JUnit's form of a report."""
    suite = re.search(r"<testsuite [^>]*>", report.read_text())
    found = dict(re.findall(r'(\w+)="(\d+)"', suite[0])) if suite else {}
    return (found.get("tests"), found.get("skipped")) == (str(count), "0")


def say(text: str) -> None:
    """Print at once, in order with what pytest prints."""
    sys.stdout.write(f"== {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
