"""A pytest plugin for the cluster tier under `.ci/run`: orders its modules, and starts none that would end too late.

`CI_STARTED` holds the second (since the Unix epoch) in which the run began. A module that began is finished, until the
last minute; what was left out is listed at the end with the day on which it last ran here.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.ci import history
from tests.ci.order import Past, affordable, expected, in_order, since
from tests.requirements import REASON

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
UNTIL_MINUTE = 75.0
"""No module starts that would probably end later."""
LAST_MINUTE = 84.0
"""No test starts later: CI's 90 minutes are near."""


def minute() -> float:
    """Return the minutes since the run began."""
    return (time.time() - float(os.environ["CI_STARTED"])) / 60


def changed_paths(base: str | None) -> list[str]:
    """Return the paths that changed since the last run here, or in the last day when that is not known."""
    known = base is not None and _git("merge-base", "--is-ancestor", base, "HEAD") is not None
    listed = _git("diff", "--name-only", f"{base}..HEAD") if known else None
    if listed is None:
        listed = _git("log", "--since=1.day", "--name-only", "--format=") or ""
    return sorted(set(listed.split()))


def _git(*arguments: str) -> str | None:
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout if answer.returncode == 0 else None


class Clock:
    """Holds one run's plan."""

    def __init__(self) -> None:
        self.base, self.past = history.load()
        self.began: dict[str, float] = {}
        self.left_out: dict[str, str] = {}
        self.unfinished: Counter[str] = Counter()
        self.wanted: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.today = datetime.now(UTC).date()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort the modules; the order within each stays."""
        modules = list(dict.fromkeys(_module(item) for item in items))
        order = in_order(modules, past=self.past, changed=changed_paths(self.base), today=self.today)
        items.sort(key=lambda item: order.index(_module(item)))
        self.wanted.update(map(_module, items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what there is no time for, before its fixtures start anything."""
        module, now = _module(item), minute()
        if module not in self.began and module not in self.left_out:
            if affordable(expected(module, past=self.past) / 60, now=now, until=UNTIL_MINUTE):
                self.began[module] = time.monotonic()
            else:
                self.left_out[module] = since(module, past=self.past)
        if module in self.left_out:
            pytest.skip("left out this time: the clock")
        if now > LAST_MINUTE:
            self.unfinished[module] += 1
            pytest.skip("left out this time: the last minute")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what was skipped for want of a program that there was no time to build: it was not run either."""
        if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].startswith(REASON):
            self.unfinished[report.location[0]] += 1

    def pytest_runtest_logfinish(self, location: tuple[str, int | None, str]) -> None:
        """Remember a module that ran to its end."""
        module = location[0]
        self.done[module] += 1
        whole = module in self.began and module not in self.unfinished and self.done[module] == self.wanted[module]
        if whole:
            self.past[module] = Past(self.today, time.monotonic() - self.began[module])

    def pytest_sessionfinish(self) -> None:
        """Keep what was learnt for the next run."""
        head = _git("rev-parse", "HEAD")
        history.save(head.strip() if head else None, self.past)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """List what was not run this time, and since when."""
        lines = [*self._lines()]
        if lines:
            terminalreporter.section(f"not run this time: {len(lines)} modules; make test runs them all")
            for line in lines:
                terminalreporter.write_line(line)

    def _lines(self) -> Iterable[str]:
        yield from (f"{module}: {text}" for module, text in self.left_out.items())
        yield from (
            f"{module}: {count} of its tests ({since(module, past=self.past)})"
            for module, count in self.unfinished.items()
        )


def _module(item: pytest.Item) -> str:
    return item.location[0]


def pytest_configure(config: pytest.Config) -> None:
    """Register the plan; collecting alone needs none."""
    if "CI_STARTED" in os.environ:
        config.pluginmanager.register(Clock(), "ci-clock")
