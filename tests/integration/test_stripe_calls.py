"""How many calls to Stripe a creation takes, and what becomes of it where the mirror is wrong about the card."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_customer_identity import SQLITE, applied, deaf
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.mirror.payment_method import payment_methods
from payment_service.storage.tables import customers, operations, subscriptions

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

CARD = "pm_card_visa"
REFUSED = "pm_card_chargeDeclined"
"""The bank does not let it be attached."""
ADDRESS = "ada@example.com"
NEW: dict[str, Any] = {"customer_reference": "user-1", "create": True}
CUSTOMER, ATTACH, SUBSCRIPTION = "POST /v1/customers", "POST attach", "POST /v1/subscriptions"
GUARD = "GET /v1/subscriptions"
"""Whether another subscription to the product is live: only `allow_multiple` and a new customer do without."""


def asked(stack: Stack) -> list[str]:
    """Return what operations have asked since it was asked last: the worker retrieves single objects and events."""
    made = []
    for method, path in stack.stripe_calls:
        if method == "POST" or path in {"/v1/customers", "/v1/subscriptions"}:
            made.append(ATTACH if path.endswith("/attach") else f"{method} {path}")
    stack.stripe_calls.clear()
    return made


async def known_card(stack: Stack) -> tuple[str, str]:
    """Make a customer with a card that both are known here; return our id of the customer and the card's."""
    made = (await stack.create(**NEW, payment_method_id=CARD, price_id=OTHER_PRICE)).json()

    async def known() -> list[str]:
        return [row["id"] for row in await stack.rows(payment_methods)]

    (card,) = await stack.until(known)
    await applied(stack)
    stack.stripe_calls.clear()
    return made["customer_id"], card


async def order(stack: Stack, customer_id: str, card: str, **more: Any) -> httpx.Response:
    return await stack.create(customer_id=customer_id, payment_method_id=card, **more)


def at_stripe(stack: Stack, card: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.simulator.state.get("payment_method", card)
    return found


async def leaves_nothing_begun(stack: Stack) -> None:
    assert all(row["finished"] for row in await stack.rows(operations))
    assert [row for row in await stack.rows(subscriptions) if row["status"] == "creating"] == []


@pytest.mark.parametrize("by", [NEW, {"email": ADDRESS}], ids=["reference", "address"])
async def test_a_new_customer_with_a_card_takes_two_calls(stack: Stack, by: dict[str, Any]) -> None:
    answer = await stack.create(**by, payment_method_id=CARD)
    assert (answer.status_code, answer.json()["status"]) == (201, "active")
    looked_up = ["GET /v1/customers"] if "email" in by else []
    assert asked(stack) == [*looked_up, CUSTOMER, SUBSCRIPTION]
    (customer,) = stack.simulator.state.all("customer")
    (card,) = stack.simulator.state.all("payment_method")
    (made,) = stack.simulator.state.all("subscription")
    assert customer["id"] == card["customer"]
    assert customer["invoice_settings"]["default_payment_method"] == card["id"] == made["default_payment_method"]
    assert [charge["amount"] for charge in stack.charges()] == [2900]


async def test_a_known_card_takes_the_subscription_call_and_the_guards_look(stack: Stack) -> None:
    customer_id, card = await known_card(stack)
    assert (await order(stack, customer_id, card)).status_code == 201
    assert asked(stack) == [GUARD, SUBSCRIPTION]
    assert (await order(stack, customer_id, card, allow_multiple=True)).status_code == 201
    assert asked(stack) == [SUBSCRIPTION]
    assert len(stack.simulator.state.all("payment_method")) == 1
    assert len(stack.charges()) == 3


async def test_a_new_card_of_a_known_customer_is_attached(stack: Stack) -> None:
    customer_id, _ = await known_card(stack)
    assert (await order(stack, customer_id, "pm_card_mastercard")).status_code == 201
    assert asked(stack) == [ATTACH, GUARD, SUBSCRIPTION]


@SQLITE
async def test_a_card_that_no_event_told_of_is_attached_again_without_harm(stack: Stack) -> None:
    customer_id, _ = await known_card(stack)
    deaf(stack)
    (customer,) = stack.simulator.state.all("customer")
    card = stack.simulator.routes.methods.attach("pm_card_mastercard", customer["id"])
    assert (await order(stack, customer_id, card["id"])).status_code == 201
    assert asked(stack) == [ATTACH, GUARD, SUBSCRIPTION]


async def test_a_card_detached_while_its_event_was_lost_is_named_and_charges_nothing(stack: Stack) -> None:
    customer_id, card = await known_card(stack)
    deaf(stack)
    stack.simulator.routes.methods.detach(at_stripe(stack, card))
    answer = await order(stack, customer_id, card)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id"), answer.text
    assert asked(stack) == [GUARD, SUBSCRIPTION, ATTACH]
    assert len(stack.charges()) == 1
    await leaves_nothing_begun(stack)
    assert (await order(stack, customer_id, "pm_card_mastercard")).status_code == 201


@SQLITE
async def test_a_card_that_is_known_as_detached_is_refused_before_anything_is_made(stack: Stack) -> None:
    customer_id, card = await known_card(stack)
    stack.simulator.routes.methods.detach(at_stripe(stack, card))

    async def told() -> bool:
        return all(row["detached"] for row in await stack.rows(payment_methods))

    await stack.until(told)
    stack.stripe_calls.clear()
    answer = await order(stack, customer_id, card)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id")
    assert asked(stack) == [ATTACH]
    await leaves_nothing_begun(stack)


async def test_a_card_that_stripe_lets_be_attached_after_all_is_charged_once(stack: Stack) -> None:
    """The row is wrong, and so is the saved refusal under the first key."""
    customer_id, card = await known_card(stack)
    deaf(stack)
    at_stripe(stack, card)["customer"] = None
    answer = await order(stack, customer_id, card)
    assert (answer.status_code, answer.json()["status"]) == (201, "active"), answer.text
    assert asked(stack) == [GUARD, SUBSCRIPTION, ATTACH, GUARD, GUARD, SUBSCRIPTION]
    assert len(stack.charges()) == 2


@SQLITE
async def test_a_card_of_another_customer_is_refused_whoever_orders(stack: Stack) -> None:
    customer_id, card = await known_card(stack)
    for who in ({"customer_reference": "user-2", "create": True}, {"email": "eva@example.com"}):
        answer = await stack.create(**who, payment_method_id=card)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id")
    other = (await stack.client.post("/api/v1/customers", json={"reference": "user-3"})).json()
    answer = await order(stack, other["id"], card)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id")
    assert len(stack.charges()) == 1
    await leaves_nothing_begun(stack)
    assert {row["id"] for row in await stack.rows(customers)} == {customer_id, other["id"]}


@pytest.mark.parametrize("by", [NEW, {"email": ADDRESS}], ids=["reference", "address"])
async def test_a_card_refused_while_the_customer_is_created_leaves_no_customer(
    stack: Stack, by: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": "order-1"}
    answer = await stack.create(**by, payment_method_id=REFUSED, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (402, "payment_declined")
    assert asked(stack)[-1] == CUSTOMER
    assert stack.simulator.state.all("customer") == stack.simulator.state.all("payment_method") == []
    assert await stack.rows(customers) == []
    await leaves_nothing_begun(stack)
    again = await stack.create(**by, payment_method_id=REFUSED, headers=key)
    assert (again.content, again.headers["Idempotent-Replayed"]) == (answer.content, "true")
    assert (await stack.create(**by, payment_method_id=CARD)).status_code == 201
    assert len(stack.simulator.state.all("customer")) == len(await stack.rows(customers)) == 1


@SQLITE
async def test_a_card_that_is_none_leaves_no_customer_and_is_named(stack: Stack) -> None:
    answer = await stack.create(**NEW, payment_method_id="pm_unknown")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id")
    assert stack.simulator.state.all("customer") == await stack.rows(customers) == []


@pytest.mark.parametrize("first", [CARD, REFUSED], ids=["good", "refused"])
async def test_two_orders_of_one_new_customer_at_once_make_one_customer(stack: Stack, first: str) -> None:
    """Whoever is first: each order ends as it would alone, and there is one customer."""
    wanted = {PRICE: first, OTHER_PRICE: CARD}

    async def buy(price: str, card: str) -> int:
        while True:
            answer = await stack.create(
                **NEW, price_id=price, payment_method_id=card, headers={"Idempotency-Key": price}
            )
            if answer.status_code != 503 and answer.json().get("code") != "idempotency_key_in_use":
                return answer.status_code
            stack.clock.advance(3)
            await asyncio.sleep(0.05)

    statuses = await asyncio.gather(*(buy(*each) for each in wanted.items()))
    assert statuses == [201 if first == CARD else 402, 201]
    (customer,) = stack.simulator.state.all("customer")
    made = stack.simulator.state.all("subscription")
    assert {found["customer"] for found in made} == {customer["id"]}
    assert len(stack.charges()) == len(made) == statuses.count(201)
    await leaves_nothing_begun(stack)
    await applied(stack)
    assert [row["stripe_customer_id"] for row in await stack.rows(customers)] == [customer["id"]]
