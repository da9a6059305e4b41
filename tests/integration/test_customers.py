"""Customers and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from tests.servers.stack import Stack

PATH = "/api/v1/customers"
ADA = {"email": "ada@example.com", "name": "Ada", "reference": "user-1", "metadata": {"plan": "pro"}}


async def test_a_customer_is_made_here_and_at_stripe(stack: Stack) -> None:
    answer = await stack.client.post(PATH, json=ADA)
    assert answer.status_code == 201
    body = answer.json()
    at_stripe = stack.simulator.state.get("customer", body["stripe_customer_id"])
    assert at_stripe["email"] == "ada@example.com"
    assert at_stripe["metadata"]["lean_payments_reference"] == "user-1"


async def test_a_customer_is_read_by_our_id_and_by_stripes(stack: Stack) -> None:
    made = (await stack.client.post(PATH, json=ADA)).json()
    ours = (await stack.client.get(f"{PATH}/{made['id']}")).json()
    stripes = (await stack.client.get(f"{PATH}/{made['stripe_customer_id']}")).json()
    assert ours == stripes
    assert ours["metadata"] == {"plan": "pro"}


async def test_a_customer_is_read_by_the_callers_own_id(stack: Stack) -> None:
    made = (await stack.client.post(PATH, json=ADA)).json()
    assert (await stack.client.get(f"{PATH}/by-reference/user-1")).json() == made
    missing = await stack.client.get(f"{PATH}/by-reference/ada@example.com")
    assert missing.status_code == 404
    assert "ada" not in missing.text


@pytest.mark.parametrize("reference", ["a/../b", "..", "ümlaut 1", "?x=1", "%2F", "x" * 255])
async def test_a_reference_of_any_form_is_asked_for_in_the_query(stack: Stack, reference: str) -> None:
    made = (await stack.client.post(PATH, json={"reference": reference})).json()
    found = (await stack.client.get(PATH, params={"reference": reference})).json()
    assert found == {"data": [made], "has_more": False}
    assert (await stack.client.get(PATH, params={"reference": "other"})).json() == {"data": [], "has_more": False}


@pytest.mark.parametrize("reference", ["%20", "a%20b", "%C3%BC", "a;b", "x" * 129, "a%0A"])
async def test_a_reference_of_another_form_does_not_stand_in_a_path(stack: Stack, reference: str) -> None:
    assert (await stack.client.get(f"{PATH}/by-reference/{reference}")).status_code in {400, 422}


async def test_a_reference_is_unique(stack: Stack) -> None:
    await stack.client.post(PATH, json=ADA)
    answer = await stack.client.post(PATH, json=ADA | {"email": "other@example.com"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "customer_exists"
    assert len(await stack.rows(customers)) == 1


async def test_what_stripe_refuses_leaves_no_customer(stack: Stack) -> None:
    answer = await stack.client.post(PATH, json={"reference": "user-1"})
    assert answer.status_code == 201
    assert (await stack.client.get(f"{PATH}/lpc_unknown")).status_code == 404


async def test_a_created_customer_is_found_by_address(stack: Stack) -> None:
    made = (await stack.client.post(PATH, json=ADA)).json()
    subscription = (await stack.create(email="ada@example.com")).json()
    assert subscription["customer_id"] == made["id"]


async def test_prices_are_listed(stack: Stack) -> None:
    body = (await stack.client.get("/api/v1/prices")).json()
    assert {item["id"] for item in body["data"]} == {PRICE, OTHER_PRICE}
    assert {item["unit_amount"] for item in body["data"]} == {2900, 900}


async def test_prices_have_pages(stack: Stack) -> None:
    first = (await stack.client.get("/api/v1/prices", params={"limit": 1})).json()
    after = first["data"][0]["id"]
    second = (await stack.client.get("/api/v1/prices", params={"limit": 1, "starting_after": after})).json()
    assert first["has_more"]
    assert not second["has_more"]
    assert second["data"][0]["id"] != after
