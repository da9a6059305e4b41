"""What tests need of the machine: missing parts skip with the command that brings them, and fail under CI=true."""

from __future__ import annotations

import os
from collections import Counter

import pytest

MISSING: Counter[tuple[str, str]] = Counter()


def require(present: object, *, what: str, command: str) -> None:
    """Skip the test unless `present`; under CI=true fail it.

    Args:
        present: whether the machine has it.
        what: the missing part, for people.
        command: what to type to get it.
    """
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing; get it: {command}", pytrace=False)
    MISSING[what, command] += 1
    pytest.skip(f"needs {what}: {command}")
