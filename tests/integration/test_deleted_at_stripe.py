"""What Stripe has no more, while its events were lost: a customer who orders again, a payment method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_customer_identity import ADDRESS, CARD, SQLITE, deaf
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.storage.tables import customers, operations, prices, subscriptions

if TYPE_CHECKING:
    from tests.servers.stack import Stack

BY: dict[str, dict[str, Any]] = {
    "address": {"email": ADDRESS},
    "reference": {"customer_reference": "u-1", "create": True},
}


async def lose(stack: Stack, made: dict[str, Any]) -> None:
    """Delete the customer at Stripe without an event."""
    deaf(stack)
    stack.simulator.routes.customers.delete(stack.simulator.state.objects[made["stripe_customer_id"]])


@SQLITE
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("more", [{"payment_method_id": CARD}, {}], ids=["card", "none"])
async def test_a_deleted_customer_orders_again_as_a_new_one(stack: Stack, by: str, more: dict[str, Any]) -> None:
    made = (await stack.create(**BY[by], payment_method_id=CARD, price_id=OTHER_PRICE)).json()
    await lose(stack, made)
    answer = await stack.create(**BY[by], **more)
    assert answer.status_code == 201, answer.text
    assert answer.json()["customer_id"] != made["customer_id"]
    former = {row["id"]: row for row in await stack.rows(customers)}[made["customer_id"]]
    assert (former["deleted"], former["email"], former["address_key"], former["reference"]) == (True, None, None, None)


@SQLITE
async def test_by_id_a_deleted_customer_is_refused_and_marked(stack: Stack) -> None:
    made = (await stack.create(email=ADDRESS, payment_method_id=CARD, price_id=OTHER_PRICE)).json()
    await lose(stack, made)
    answer = await stack.create(customer_id=made["customer_id"], payment_method_id=CARD)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "customer_id")
    assert [row["deleted"] for row in await stack.rows(customers)] == [True]
    assert [row for row in await stack.rows(subscriptions) if row["status"] == "creating"] == []


@SQLITE
async def test_a_payment_method_that_is_gone_is_named(stack: Stack) -> None:
    answer = await stack.create(email=ADDRESS, payment_method_id="pm_gone")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id")


def price_at_stripe(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.simulator.state.objects[PRICE]
    return found


async def is_active(stack: Stack) -> bool:
    return {row["id"]: row["active"] for row in await stack.rows(prices)}[PRICE]  # type: ignore[no-any-return]


@pytest.mark.parametrize("loss", ["removed", "archived"])
@pytest.mark.parametrize("field", ["price_id", "lookup_key"])
async def test_a_price_that_is_gone_is_named_marked_and_taken_again_when_it_is_back(
    stack: Stack, loss: str, field: str
) -> None:
    named: dict[str, Any] = {"price_id": PRICE} if field == "price_id" else {"lookup_key": "pro_monthly"}
    assert (await stack.create(email="first@example.com", payment_method_id=CARD, **named)).status_code == 201
    deaf(stack)
    price, state = price_at_stripe(stack), stack.simulator.state
    if loss == "removed":
        state.remove(price)
    else:
        price["active"] = False
    for _ in range(2):  # Stripe's refusal of the subscription, then what is known
        answer = await stack.create(email=ADDRESS, payment_method_id=CARD, **named)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
        assert not await is_active(stack)
        stack.clock.advance(601)
    assert [row for row in await stack.rows(subscriptions) if row["status"] == "creating"] == []
    price["active"] = True
    if loss == "removed":
        state.add(price)
    assert (await stack.create(email=ADDRESS, payment_method_id=CARD, **named)).status_code == 201
    assert await is_active(stack)


@SQLITE
async def test_a_lookup_key_that_moved_while_events_were_lost_orders_its_present_price(stack: Stack) -> None:
    await stack.create(email="first@example.com", payment_method_id=CARD, lookup_key="pro_monthly")
    await stack.create(email="first@example.com", payment_method_id=CARD, price_id=OTHER_PRICE)
    deaf(stack)
    update = stack.simulator.routes.catalog.update_price
    other = stack.simulator.state.objects[OTHER_PRICE]
    update(other, {"lookup_key": "pro_monthly", "transfer_lookup_key": "true"})
    update(price_at_stripe(stack), {"active": "false"})
    assert (await stack.create(email=ADDRESS, payment_method_id=CARD, lookup_key="pro_monthly")).status_code == 422
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD, lookup_key="pro_monthly")
    assert (answer.status_code, answer.json()["price_id"]) == (201, OTHER_PRICE)


@SQLITE
async def test_a_payment_method_of_another_customer_is_named(stack: Stack) -> None:
    method = stack.simulator.routes.methods.attach(CARD, stack.simulator.routes.customers.create({})["id"])
    answer = await stack.create(email=ADDRESS, payment_method_id=method["id"])
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "payment_method_id")


@SQLITE
@pytest.mark.parametrize("at_period_end", [True, False])
async def test_cancelling_what_is_not_at_stripe_is_refused_and_ends(stack: Stack, at_period_end: bool) -> None:  # noqa: FBT001 - a case
    made = (await stack.create(email=ADDRESS, payment_method_id=CARD)).json()
    stack.simulator.state.remove(stack.simulator.state.objects[made["stripe_subscription_id"]])
    path = f"/api/v1/subscriptions/{made['id']}/cancel"
    answer = await stack.client.post(path, json={"at_period_end": at_period_end})
    assert (answer.status_code, answer.json()["code"]) == (422, "stripe_rejected")
    assert {row["finished"] for row in await stack.rows(operations)} == {True}
