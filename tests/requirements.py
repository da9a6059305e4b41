"""What tests need of the machine: missing parts skip with the command that brings them, and fail under CI=true.

`CI_WITHOUT` names what CI itself had no time to build (`tests/ci`): that skips there too.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

REASON = "Skipped: needs "


def require(present: object, *, what: str, command: str) -> None:
    """Skip the test unless `present`; under CI=true fail it.

    Args:
        present: whether the machine has it.
        what: the missing part, for people.
        command: what to type to get it.
    """
    if present:
        return
    if os.environ.get("CI") == "true" and not _left_out(what):
        pytest.fail(f"{what} is missing; get it: {command}", pytrace=False)
    pytest.skip(f"needs {what}: {command}")


def _left_out(what: str) -> bool:
    """Tell whether this run of CI decided to do without one of the parts that `what` names."""
    return not set(what.split()).isdisjoint(filter(None, os.environ.get("CI_WITHOUT", "").split(",")))


def missing(skips: Iterable[pytest.TestReport | pytest.CollectReport]) -> Counter[str]:
    """Count what skipped tests wanted, from their reports: with xdist only these reach the process that sums up."""
    reasons = (report.longrepr[2] for report in skips if isinstance(report.longrepr, tuple))
    return Counter(reason.removeprefix(REASON) for reason in reasons)
