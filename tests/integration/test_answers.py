"""Answers say what a client needs next, and refusals name what they refuse, to the caller and in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.servers.stack import PRICE

from payment_service.events.routes import PATH as WEBHOOKS

if TYPE_CHECKING:
    from tests.servers.stack import Stack

CARD = "pm_card_visa"
SUBSCRIPTIONS = "/api/v1/subscriptions"
CUSTOMERS = "/api/v1/customers"


def fields(answer: Any) -> list[str]:
    return [error["field"] for error in answer.json()["errors"]]


async def test_the_answer_to_a_creation_tells_what_was_bought_and_until_when_it_is_free(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", quantity=3, trial_days=7, metadata={"team": "x"})).json()
    view = (await stack.client.get(f"{SUBSCRIPTIONS}/{made['id']}")).json()
    assert (made["price_id"], made["quantity"], made["metadata"]) == (PRICE, 3, {"team": "x"})
    assert made["trial_end"] is not None
    assert {name: made[name] for name in view if name in made} == {name: view[name] for name in view if name in made}


async def test_a_subscription_answers_to_stripes_id_as_to_ours(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", payment_method_id=CARD)).json()
    paths = [f"{SUBSCRIPTIONS}/{made[name]}" for name in ("id", "stripe_subscription_id")]
    first, second = [(await stack.client.get(path)).json() for path in paths]
    assert first == second
    ended = await stack.client.post(f"{paths[1]}/cancel", json={"at_period_end": False})
    assert (ended.status_code, ended.json()["status"]) == (200, "canceled")
    assert [(await stack.client.get(path)).json()["status"] for path in paths] == ["canceled", "canceled"]


async def test_an_unknown_route_is_told_from_an_unknown_object(stack: Stack) -> None:
    paths = ("/api/v1/subscription", f"{SUBSCRIPTIONS}/lps_unknown", f"{SUBSCRIPTIONS}/sub_unknown")
    answers = [await stack.client.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert [answer.json()["code"] for answer in answers] == ["route_not_found", "not_found", "not_found"]


async def test_who_has_the_reference_already_is_named(stack: Stack) -> None:
    made = (await stack.client.post(CUSTOMERS, json={"reference": "user-1"})).json()
    again = await stack.client.post(CUSTOMERS, json={"reference": "user-1", "name": "Ada"})
    assert (again.status_code, again.json()["code"]) == (409, "customer_exists")
    assert again.json()["customer_id"] == made["id"]


@pytest.mark.parametrize("key", ["lean_payments_customer", "a]", "["])
async def test_metadata_that_would_not_be_kept_is_refused(stack: Stack, key: str) -> None:
    body: dict[str, Any] = {"email": "ada@example.com", "metadata": {key: "x"}}
    customer = await stack.client.post(CUSTOMERS, json=body)
    subscription = await stack.create(**body, payment_method_id=CARD)
    assert (customer.status_code, subscription.status_code) == (422, 422)
    assert fields(customer) == fields(subscription) == ["metadata"]
    assert "reserved" in customer.json()["errors"][0]["message"]
    assert stack.charges() == []


async def test_metadata_without_a_value_is_refused_for_stripe_leaves_it_out(stack: Stack) -> None:
    body: dict[str, Any] = {"email": "ada@example.com", "metadata": {"note": ""}}
    customer = await stack.client.post(CUSTOMERS, json=body)
    subscription = await stack.create(**body, payment_method_id=CARD)
    assert (customer.status_code, subscription.status_code) == (422, 422)
    assert fields(customer) == fields(subscription) == ["metadata"]
    assert stack.charges() == []


async def test_an_unknown_reference_makes_a_customer_only_when_told_so(stack: Stack) -> None:
    body: dict[str, Any] = {"customer_reference": "user-1", "payment_method_id": CARD}
    refused = await stack.create(**body)
    assert (refused.status_code, fields(refused)) == (422, ["customer_reference"])
    assert stack.charges() == []
    assert (await stack.client.get(CUSTOMERS)).json()["data"] == []
    assert (await stack.create(**body, create=True)).status_code == 201


@pytest.mark.parametrize("body", [{"email": 5}, {"email": "a@b.c", "metadata": {"a": 1}}, {"metadata": None}])
async def test_messages_speak_of_json_and_not_of_python(stack: Stack, body: dict[str, Any]) -> None:
    answer = await stack.client.post(CUSTOMERS, json=body)
    text = str(answer.json()["errors"])
    assert answer.status_code == 422
    assert not any(word in text for word in ("`str", "`int`", "dict", "None"))


async def test_the_line_of_a_refused_request_says_the_code_and_why_without_data_of_people(stack: Stack) -> None:
    with capture_logs() as lines:
        await stack.client.post(CUSTOMERS, json={"email": "ada@example.com", "name": 7, "ada@example.com": 1})
        await stack.client.post(WEBHOOKS, content=b"{}", headers={"Stripe-Signature": "t=1,v1=00"})
        await stack.client.get(f"{SUBSCRIPTIONS}/lps_unknown")
        await stack.client.get(SUBSCRIPTIONS)
    told = [(line["status"], line.get("code"), line.get("reason")) for line in lines if line["event"] == "request"]
    assert told[0] == (422, "invalid_request", "name")
    assert told[1][:2] == (400, "invalid_signature")
    assert told[1][2]
    assert told[2:] == [(404, "not_found", None), (200, None, None)]
    assert "example.com" not in str(lines)
