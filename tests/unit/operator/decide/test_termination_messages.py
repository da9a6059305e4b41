"""The last words of a failed container, as the status shows them."""

from __future__ import annotations

import json

import pytest

from payment_operator.decide.release.termination_messages import LONGEST, shortened

PLAN = {"current": 1, "target": 3, "pending": [{"number": 2, "phase": "expand", "summary": "x"}], "runnable": [2]}
CHECKS = [
    {"check": "ready", "passed": True, "detail": "ready", "milliseconds": 1.0},
    {"check": "webhook", "passed": False, "detail": "the answer was 400, wanted 200", "milliseconds": 2.0},
]


@pytest.mark.parametrize(
    ("words", "short"),
    [
        (json.dumps({"error": "a table lock could not be had in time"}), "a table lock could not be had in time"),
        (
            json.dumps(PLAN | {"findings": ["0002: drops customers.email", "0002: x"]}),
            "0002: drops customers.email; 0002: x",
        ),
        (json.dumps({"checks": CHECKS}), "webhook: the answer was 400, wanted 200"),
        (json.dumps(PLAN), ""),
        (
            'starting\n{"event": "cannot start", "exception": "Traceback\\n  x\\nOSError: no"}\n',
            "cannot start: OSError: no",
        ),
        ("a\nb\n\nc\nd\n", "b\nc\nd"),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_the_reason_is_shown_and_not_the_whole_result(words: str, short: str) -> None:
    assert shortened(words) == short


def test_a_result_that_lost_its_end_and_a_long_one_are_cut() -> None:
    cut = json.dumps({"error": "statement " * 900}, separators=(",", ":"))[:4096]
    assert shortened(cut).startswith("statement statement")
    assert len(shortened(cut)) == LONGEST + 1
    assert len(shortened("x" * 5000)) == LONGEST + 1
