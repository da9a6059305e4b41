"""How many examples a property draws that names a number of its own: `make test` all, `make check` a fifth.

The profile `few` (tests/conftest.py) does the same with the properties that name none: 20 instead of 100.
"""

from __future__ import annotations

import os

FEW = os.environ.get("HYPOTHESIS_PROFILE") == "few"
PART = 5


def examples(number: int, *, few: bool = FEW) -> int:
    """Return `number`, or a fifth of it, rounded up."""
    return -(-number // PART) if few else number
