"""`Any` switches the type checker off: at most ten lines in a thousand of the service may name it, imports included."""

from __future__ import annotations

import re
from pathlib import Path

import payment_service

PER_THOUSAND = 10
ROOT = Path(payment_service.__file__).parent


def test_any_stands_in_few_lines() -> None:
    lines = [(path, line) for path in sorted(ROOT.rglob("*.py")) for line in path.read_text().splitlines()]
    named = [f"{path.relative_to(ROOT)}: {line.strip()}" for path, line in lines if re.search(r"\bAny\b", line)]
    assert len(named) * 1000 <= PER_THOUSAND * len(lines), "\n".join(named)
