"""The hook that holds integration tests to the document sees what does not conform."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from tests.documented import DOCUMENT, check

BASE = "http://api/api/v1"
PROBLEM = {"type": "urn:x", "title": "t", "status": 404, "detail": "d", "code": "not_found", "request_id": None}


def exchange(method: str, path: str, *, sent: Any = None, status: int = 200, answered: Any) -> None:
    kind = "application/json" if status < 300 else "application/problem+json"
    answer = httpx.Response(status, json=answered, headers={"content-type": kind})
    check(httpx.Request(method, BASE + path, json=sent), answer)


def test_what_conforms_passes() -> None:
    exchange("GET", "/prices", answered={"data": [], "has_more": False})
    exchange("GET", "/subscriptions/lps_1", status=404, answered=PROBLEM | {"more": 1})
    exchange("GET", "/nowhere", status=404, answered="anything")


@pytest.mark.parametrize(
    ("path", "status", "answered"),
    [
        ("/prices", 200, {"data": []}),
        ("/prices", 200, {"data": [], "has_more": False, "undocumented": 1}),
        ("/prices", 200, {"data": [{"id": 1}], "has_more": False}),
        ("/prices", 418, PROBLEM),
        ("/subscriptions/lps_1", 404, PROBLEM | {"code": "no_such_code"}),
        ("/subscriptions/lps_1", 404, PROBLEM | {"status": 409}),
    ],
)
def test_an_answer_that_does_not_conform_fails(path: str, status: int, answered: Any) -> None:
    with pytest.raises(AssertionError, match=r"/api/v1/(prices|subscriptions)"):
        exchange("GET", path, status=status, answered=answered)


def test_every_moment_of_the_document_has_its_format() -> None:
    without = [
        f"{name}.{member}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for member, told in schema["properties"].items()
        if re.search(r"_(at|start|end)$|^trial_end$", member)
        and not any(
            kind.get("format") == "date-time" or kind["type"] == "boolean"
            for one in told.get("anyOf", [told])
            for kind in one.get("anyOf", [one])
        )
    ]
    assert without == []


def test_an_accepted_request_that_does_not_conform_fails() -> None:
    answered = {"replayed": 1, "dry_run": False}
    with pytest.raises(AssertionError):
        exchange("POST", "/admin/inbox/replay", sent={"since": 5, "unknown": 1}, answered=answered)
