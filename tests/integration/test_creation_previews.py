"""Previews of new subscriptions: what is charged is what was previewed, and nothing is made by asking."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.changing import charged
from tests.servers.stack import OTHER_PRICE, PRICE

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

CARD = "pm_card_visa"


async def customer(stack: Stack) -> dict[str, Any]:
    answer = await stack.client.post("/api/v1/customers", json={"email": "ada@example.com", "reference": "user-1"})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def ask(stack: Stack, **body: Any) -> httpx.Response:
    return await stack.client.post("/api/v1/subscriptions/preview", json=body)


async def test_what_is_charged_is_what_was_previewed_with_the_customers_credit(stack: Stack) -> None:
    made = await customer(stack)
    stack.simulator.state.get("customer", made["stripe_customer_id"])["balance"] = -500
    answer = await ask(stack, customer_reference="user-1", price_id=PRICE, quantity=2)
    said = answer.json()
    assert answer.status_code == 200, answer.text
    assert (said["customer_id"], said["quantity"], said["trial_end"]) == (made["id"], 2, None)
    assert (said["due_now"], said["first_invoice"]["total"], said["currency"]) == (5300, 5800, "usd")
    assert [(line["amount"], line["price_id"]) for line in said["first_invoice"]["lines"]] == [(5800, PRICE)]
    assert stack.simulator.state.all("subscription") == stack.simulator.state.all("invoice") == []
    await stack.create(customer_id=made["id"], price_id=PRICE, quantity=2, payment_method_id=CARD)
    assert charged(stack) == [said["due_now"]]


async def test_with_a_trial_nothing_is_due_now_and_the_first_invoice_comes_when_it_ends(stack: Stack) -> None:
    made = await customer(stack)
    said = (await ask(stack, customer_id=made["stripe_customer_id"], price_id=OTHER_PRICE, trial_days=14)).json()
    assert (said["due_now"], said["first_invoice"]["amount_due"]) == (0, 900)
    order = {"customer_id": made["id"], "price_id": OTHER_PRICE, "payment_method_id": CARD, "trial_days": 14}
    told = (await stack.create(**order)).json()
    between = datetime.fromisoformat(told["trial_end"]) - datetime.fromisoformat(said["trial_end"])
    assert 0 <= between.total_seconds() < 60
    assert charged(stack) == []
    stack.clock.advance(15 * 86400)
    stack.simulator.tick()
    assert charged(stack) == [said["first_invoice"]["amount_due"]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_order_that_cannot_be_names_its_field(stack: Stack) -> None:
    made = await customer(stack)
    bodies: tuple[tuple[dict[str, Any], str], ...] = (
        ({"price_id": PRICE}, "customer_id"),
        ({"price_id": PRICE, "customer_id": made["id"], "customer_reference": "user-1"}, "customer_id"),
        ({"price_id": PRICE, "customer_id": "lpc_unknown"}, "customer_id"),
        ({"price_id": PRICE, "customer_reference": "nobody"}, "customer_reference"),
        ({"customer_id": made["id"]}, "price_id"),
        ({"customer_id": made["id"], "price_id": "price_unknown"}, "price_id"),
        ({"customer_id": made["id"], "price_id": PRICE, "quantity": 0}, "quantity"),
        ({"customer_id": made["id"], "price_id": PRICE, "trial_days": 731}, "trial_days"),
    )
    for body, field in bodies:
        answer = await ask(stack, **body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
