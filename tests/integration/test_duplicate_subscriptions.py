"""A second live subscription that other hands add is told once, seen by the API, and ended by it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_customer_identity import (
    ADDRESS,
    CARD,
    SQLITE,
    applied,
    check_out,
    deaf,
    forget_import,
    make_customer,
)
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.observability.metrics import DUPLICATES
from payment_service.storage.tables import customers, outbox, subscriptions

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
    await mirrored(stack, made)
    return made


async def mirrored(stack: Stack, subscription: str) -> None:
    """Wait until the row shows the items that Stripe has."""
    there = stack.simulator.state.objects[subscription]["items"]["data"]

    async def shown() -> bool:
        stack.clock.advance(1)
        rows = [row for row in await stack.rows(subscriptions) if row["stripe_subscription_id"] == subscription]
        here = [[item[name] for name in ("id", "product_id", "quantity")] for row in rows for item in row["items"]]
        return sorted(here) == sorted([item["id"], item["price"]["product"], item["quantity"]] for item in there)

    await stack.until(shown)


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


WEEKS = 20 * 86400


async def change(stack: Stack, subscription: str, *items: dict[str, str]) -> None:
    """Change a subscription's items as the customer portal and the Dashboard do; further ones are added."""
    found = stack.simulator.state.objects[subscription]
    stack.simulator.routes.billing.update(found, {"items": list(items)})
    await mirrored(stack, subscription)


async def move(stack: Stack, customer: dict[str, Any], email: str) -> None:
    """Change a customer's address at Stripe."""
    stack.simulator.routes.customers.update(customer, {"email": email})

    async def moved() -> bool:
        stack.clock.advance(1)
        return any(
            (row["stripe_customer_id"], row["email"]) == (customer["id"], email) for row in await stack.rows(customers)
        )

    await stack.until(moved)


def item_of(stack: Stack, subscription: str) -> str:
    found: str = stack.simulator.state.objects[subscription]["items"]["data"][0]["id"]
    return found


def ids(event: dict[str, Any]) -> tuple[str, str]:
    """Return which came to the product last, and which was there."""
    return event["after"]["stripe_subscription_id"], event["after"]["other_stripe_subscription_id"]


@pytest.mark.parametrize("which", ["older", "younger", "further item"])
async def test_one_that_comes_to_the_product_long_after_it_was_made_is_told(stack: Stack, which: str) -> None:
    ours = await order(stack)
    added = await add(stack, ours["stripe_customer_id"], OTHER_PRICE)
    stack.clock.advance(WEEKS)
    assert await told(stack) == []
    moves, stays, price = added, ours["stripe_subscription_id"], PRICE
    if which == "older":
        moves, stays, price = stays, moves, OTHER_PRICE
    wanted = {"price": price} if which == "further item" else {"price": price, "id": item_of(stack, moves)}
    await change(stack, moves, wanted)
    (event,) = await told(stack)
    assert ids(event) == (moves, stays)
    assert DUPLICATES._value.get() == 1


async def test_a_pair_is_counted_for_a_week_and_never_told_again_while_it_is_one(stack: Stack) -> None:
    ours = await order(stack)
    added = await add(stack, ours["stripe_customer_id"], PRICE)
    (event,) = await told(stack)
    stack.clock.advance(WEEKS)
    assert await told(stack) == [event]
    assert DUPLICATES._value.get() == 0
    await change(stack, added, {"price": OTHER_PRICE})
    assert await told(stack) == [event]
    await change(stack, added, {"id": item_of(stack, added), "deleted": "true"})
    assert await told(stack) == [event]
    await change(stack, added, {"price": PRICE})
    assert len(await told(stack)) == 2
    assert DUPLICATES._value.get() == 1


async def test_one_whose_address_becomes_that_of_the_other_is_told(stack: Stack) -> None:
    ours = await order(stack)
    other = make_customer(stack, "grace@example.com", card=True)
    added = await add(stack, other["id"], PRICE)
    stack.clock.advance(WEEKS)
    assert await told(stack) == []
    await move(stack, other, "ada@elsewhere.example")
    assert await told(stack) == []
    await move(stack, other, ADDRESS)
    (event,) = await told(stack)
    assert ids(event) == (added, ours["stripe_subscription_id"])


async def test_one_that_is_heard_of_after_weeks_is_told(stack: Stack) -> None:
    ours = await order(stack)
    await applied(stack)
    deaf(stack)
    terms = {"collection_method": "send_invoice", "days_until_due": "30"}
    stack.clock.advance(2)
    wanted = {"customer": ours["stripe_customer_id"], "items": [{"price": PRICE}], **terms}
    made = stack.simulator.routes.billing.create(wanted)["id"]
    stack.clock.advance(WEEKS)
    await stack.parts.reconciler.run(full=True)
    await applied(stack)
    (event,) = await told(stack)
    assert ids(event) == (made, ours["stripe_subscription_id"])


@SQLITE
async def test_one_that_moves_to_a_further_one_is_told_and_the_further_one_was_asked_for(stack: Stack) -> None:
    first = await order(stack)
    stack.clock.advance(2)
    further = await order(stack, allow_multiple=True)
    added = await add(stack, first["stripe_customer_id"], OTHER_PRICE)
    stack.clock.advance(WEEKS)
    assert await told(stack) == []
    await change(stack, added, {"id": item_of(stack, added), "price": PRICE})
    await change(
        stack,
        further["stripe_subscription_id"],
        {"id": item_of(stack, further["stripe_subscription_id"]), "quantity": "3"},
    )
    (event,) = await told(stack)
    assert ids(event) == (added, first["stripe_subscription_id"])


@SQLITE
async def test_one_that_has_a_product_of_each_of_two_is_told_for_both(stack: Stack) -> None:
    first = await order(stack)
    other = await add(stack, first["stripe_customer_id"], OTHER_PRICE)
    both = await add(stack, first["stripe_customer_id"], PRICE, OTHER_PRICE)
    assert {ids(event) for event in await told(stack)} == {(both, first["stripe_subscription_id"]), (both, other)}
    assert DUPLICATES._value.get() == 2


@SQLITE
async def test_what_an_account_brought_with_it_is_told_once_it_changes(stack: Stack) -> None:
    customer = stack.simulator.routes.customers.create({"email": ADDRESS})["id"]
    first, second = [await add(stack, customer, price) for price in (PRICE, OTHER_PRICE)]
    twice = await add(stack, customer, PRICE)
    await forget_import(stack)
    stack.clock.advance(60)
    await stack.parts.importer.run()
    await change(stack, twice, {"id": item_of(stack, twice), "quantity": "2"})
    assert await told(stack) == []
    await change(stack, second, {"id": item_of(stack, second), "price": PRICE})
    (event,) = await told(stack)
    assert ids(event) == (second, first)


@SQLITE
async def test_one_made_elsewhere_that_is_paid_after_ours_was_asked_for_is_told(stack: Stack) -> None:
    customer = make_customer(stack)["id"]
    items = [{"price": PRICE}]
    wanted = {"customer": customer, "items": items, "payment_behavior": "default_incomplete"}
    made = stack.simulator.routes.billing.create(wanted)
    await mirrored(stack, made["id"])
    stack.clock.advance(2)
    ours = await stack.create(customer_id=customer, payment_method_id=CARD, allow_multiple=True)
    assert ours.status_code == 201
    assert await told(stack) == []
    method = stack.simulator.routes.methods.attach(CARD, customer)["id"]
    invoice = stack.simulator.state.objects[made["latest_invoice"]]
    stack.simulator.routes.invoices.pay(invoice, {"payment_method": method})

    async def alive() -> bool:
        stack.clock.advance(1)
        rows = [row for row in await stack.rows(subscriptions) if row["stripe_subscription_id"] == made["id"]]
        return bool(rows[0]["status"] == "active")

    await stack.until(alive)
    (event,) = await told(stack)
    assert ids(event) == (made["id"], ours.json()["stripe_subscription_id"])
