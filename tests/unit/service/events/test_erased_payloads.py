"""What stays of the payload of an erased customer's event."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from payment_service.events import payloads
from payment_service.events.forgetting import reduce

PERSON = {"id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada", "shipping": {"phone": "1"}}


def row(body: bytes, **more: Any) -> Any:
    told = {"id": "evt_1", "type": "customer.updated", "object_id": "cus_1", "api_version": "2026-10-28.endive"}
    return SimpleNamespace(payload=body, livemode=False, stripe_created=1_790_000_000, **(told | more))


def event(**more: Any) -> bytes:
    content = {"id": "evt_1", "object": "event", "type": "customer.updated", "created": 1_790_000_000}
    previous = {"previous_attributes": {"name": "Augusta"}}
    return json.dumps(content | {"livemode": False, "data": {"object": PERSON, **previous}} | more).encode()


def test_it_is_still_the_same_event_and_shows_no_state() -> None:
    reduced = reduce(row(event()))
    read = payloads.read(reduced)
    assert (read.id, read.type, read.object_id, read.created) == ("evt_1", "customer.updated", "cus_1", 1_790_000_000)
    assert read.object == {"id": "cus_1", "object": "customer"}
    assert b"Ada" not in reduced
    assert b"Augusta" not in reduced
    assert reduce(row(reduced)) == reduced


def test_whose_account_it_is_about_stays() -> None:
    assert payloads.read(reduce(row(event(account="acct_1")))).account == "acct_1"


@pytest.mark.parametrize("body", [b'{"id": "evt_1", "email": "ada', b"\xff ada@example.com", b'{"a": 1, "a": "ada"}'])
def test_what_cannot_be_read_goes_too(body: bytes) -> None:
    assert b"ada" not in reduce(row(body))


def test_a_thin_event_holds_nothing_and_stays() -> None:
    related = {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"}
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.customer.updated", "created": "2026-09-21T14:13:20Z"}
    body = json.dumps(thin | {"livemode": False, "related_object": related}).encode()
    assert reduce(row(body)) == body
