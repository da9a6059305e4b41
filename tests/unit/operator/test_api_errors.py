"""How the operator takes the answers of the API server."""

from __future__ import annotations

import json

import pytest

from payment_operator.clients.kubernetes import MESSAGE_LIMIT, _error
from payment_operator.errors import ApiError, Conflict, NotThere, Refused

REASON = "spec.template: Invalid value"
FAULT = "field is immutable"


def answered(status: int, message: str) -> ApiError:
    return _error(status, json.dumps({"reason": "Invalid", "message": message}).encode())


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "", NotThere),
        (409, "", Conflict),
        (422, "spec.replicas: Invalid value: -1", Refused),
        (422, 'metadata.uid: Invalid value: "a": field is immutable', Conflict),
        (500, "", ApiError),
    ],
)
def test_an_answer_says_whether_to_read_again(status: int, message: str, kind: type[ApiError]) -> None:
    assert type(answered(status, message)) is kind


def test_a_long_answer_keeps_its_beginning_and_its_end() -> None:
    found = answered(422, f"{REASON}: {'x' * 5000}: {FAULT}").message
    assert found.startswith(REASON)
    assert found.endswith(FAULT)
    assert len(found) == MESSAGE_LIMIT
