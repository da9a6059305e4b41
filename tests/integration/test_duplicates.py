"""A second live subscription that other hands add is told once, seen by the API, and ended by it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.integration.test_identity import ADDRESS, CARD, SQLITE, applied, check_out, forget_import
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.platform.metrics import DUPLICATES
from payment_service.tables import outbox

if TYPE_CHECKING:
    from tests.servers.stack import Stack


async def order(stack: Stack, **body: Any) -> dict[str, Any]:
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD, **body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def add(stack: Stack, customer: str, *prices: str) -> str:
    """Subscribe a customer at Stripe, as a person in the Dashboard does."""
    items = [{"price": price} for price in prices]
    terms = {"collection_method": "send_invoice", "days_until_due": "30"}
    stack.clock.advance(2)
    made: str = stack.simulator.routes.billing.create({"customer": customer, "items": items, **terms})["id"]
    await applied(stack)
    return made


async def told(stack: Stack) -> list[dict[str, Any]]:
    """Watch twice at once and once more, and return the events: each pair has one."""
    await asyncio.gather(*(stack.parts.reconciler.watch() for _ in range(2)))
    await stack.parts.reconciler.watch()
    return [row for row in await stack.rows(outbox) if row["object_type"] == "subscription.duplicate"]


async def test_one_that_a_person_adds_is_told_once_and_ended_by_the_api(stack: Stack) -> None:
    ours = await order(stack)
    added = await add(stack, ours["stripe_customer_id"], OTHER_PRICE, PRICE)
    (event,) = await told(stack)
    assert (event["after"]["stripe_subscription_id"], event["cause"]) == (added, ours["id"])
    assert event["after"]["other_subscription_id"] == ours["id"]
    assert DUPLICATES._value.get() == 1
    listed = await stack.client.get("/api/v1/subscriptions", params={"customer_id": ours["stripe_customer_id"]})
    assert {row["stripe_subscription_id"] for row in listed.json()["data"]} == {added, ours["stripe_subscription_id"]}
    ended = await stack.client.post(f"/api/v1/subscriptions/{event['object_id']}/cancel", json={"at_period_end": False})
    assert (ended.status_code, ended.json()["status"]) == (200, "canceled")
    assert await told(stack) == [event]
    assert DUPLICATES._value.get() == 0


async def test_one_that_checkout_gives_to_a_new_customer_with_the_address_is_told(stack: Stack) -> None:
    ours = await order(stack)
    stack.clock.advance(2)
    check_out(stack)
    await applied(stack)
    (event,) = await told(stack)
    assert event["after"]["other_stripe_subscription_id"] == ours["stripe_subscription_id"]
    assert event["after"]["stripe_customer_id"] != ours["stripe_customer_id"]


@SQLITE
async def test_what_was_ordered_as_a_further_one_and_other_products_are_not_told(stack: Stack) -> None:
    ours = await order(stack)
    stack.clock.advance(2)
    await order(stack, allow_multiple=True)
    await add(stack, ours["stripe_customer_id"], OTHER_PRICE)
    assert await told(stack) == []
    assert DUPLICATES._value.get() == 0


@SQLITE
async def test_what_an_account_brings_with_it_is_not_told(stack: Stack) -> None:
    customer = stack.simulator.routes.customers.create({"email": ADDRESS})["id"]
    for _ in range(2):
        await add(stack, customer, PRICE)
    await forget_import(stack)
    stack.clock.advance(60)
    await stack.parts.importer.run()
    assert await told(stack) == []
    await add(stack, customer, PRICE)
    assert len(await told(stack)) == 1
