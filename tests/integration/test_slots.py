"""What other hands change at Stripe: several items, plans switched onto taken products, no seats, usage, pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.storage.tables import events, subscriptions

if TYPE_CHECKING:
    from tests.servers.stack import Stack

CARD = "pm_card_visa"
ADDRESS = "ada@example.com"
PATH = "/api/v1/subscriptions"


async def order(stack: Stack, price: str, **body: Any) -> dict[str, Any]:
    """Order a subscription that is made."""
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD, price_id=price, **body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def at_stripe(stack: Stack, made: dict[str, Any]) -> dict[str, Any]:
    """Return Stripe's object."""
    found: dict[str, Any] = stack.simulator.state.objects[made["stripe_subscription_id"]]
    return found


def change(stack: Stack, made: dict[str, Any], **params: Any) -> None:
    """Change the subscription at Stripe, as the portal or a person in the Dashboard does."""
    stack.simulator.routes.billing.update(at_stripe(stack, made), params)


def switch(stack: Stack, made: dict[str, Any], price: str) -> None:
    """Switch the plan at Stripe."""
    change(stack, made, items=[{"id": at_stripe(stack, made)["items"]["data"][0]["id"], "price": price}])


async def shown(stack: Stack, made: dict[str, Any], **expected: Any) -> dict[str, Any]:
    """Wait until the events have shown what is expected, and return the view; none of them may die."""

    async def applied() -> dict[str, Any] | None:
        view: dict[str, Any] = (await stack.client.get(f"{PATH}/{made['id']}")).json()
        return view if expected.items() <= view.items() else None

    found: dict[str, Any] = await stack.until(applied)
    return found


async def settled(stack: Stack) -> set[str]:
    """Wait until no event waits, and return the states."""

    async def states() -> set[str] | None:
        found = {row["state"] for row in await stack.rows(events)}
        return None if "pending" in found else found

    stack.clock.advance(30)
    found: set[str] = await stack.until(states)
    return found


async def test_a_plan_switched_at_stripe_onto_a_taken_product_is_shown(stack: Stack) -> None:
    first, second = await order(stack, PRICE), await order(stack, OTHER_PRICE)
    switch(stack, first, OTHER_PRICE)
    await shown(stack, first, price_id=OTHER_PRICE)
    assert (await shown(stack, second, price_id=OTHER_PRICE))["status"] == "active"
    assert "dead" not in await settled(stack)


async def test_a_plan_switched_onto_a_taken_product_is_cancelled_with_200(stack: Stack) -> None:
    first, _ = await order(stack, PRICE), await order(stack, OTHER_PRICE)
    switch(stack, first, OTHER_PRICE)
    answer = await stack.client.post(f"{PATH}/{first['id']}/cancel", json={})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["price_id"], answer.json()["cancel_at_period_end"]) == (OTHER_PRICE, True)


async def test_a_plan_switched_away_gives_the_slot_of_its_product_back(stack: Stack) -> None:
    first, _ = await order(stack, PRICE), await order(stack, OTHER_PRICE)
    switch(stack, first, OTHER_PRICE)
    await shown(stack, first, price_id=OTHER_PRICE)
    assert (await order(stack, PRICE))["id"] != first["id"]


async def test_the_slot_of_a_product_that_two_share_is_free_when_both_have_ended(stack: Stack) -> None:
    first, second = await order(stack, PRICE), await order(stack, OTHER_PRICE)
    switch(stack, first, OTHER_PRICE)
    await shown(stack, first, price_id=OTHER_PRICE)
    for made, status in ((second, 409), (first, 201)):
        await stack.client.post(f"{PATH}/{made['id']}/cancel", json={"at_period_end": False})
        answer = await stack.create(email=ADDRESS, payment_method_id=CARD, price_id=OTHER_PRICE)
        assert answer.status_code == status


async def test_an_add_on_that_stripe_lists_first_is_not_shown_and_frees_no_slot(stack: Stack) -> None:
    made = await order(stack, PRICE, quantity=2)
    change(stack, made, items=[{"price": OTHER_PRICE, "quantity": "5"}])
    at_stripe(stack, made)["items"]["data"].reverse()
    change(stack, made, metadata={"touched": "yes"})
    view = await shown(stack, made, metadata={"touched": "yes"})
    assert (view["price_id"], view["quantity"]) == (PRICE, 2)
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD, price_id=PRICE)
    assert (answer.status_code, answer.json()["subscription_id"]) == (409, made["id"])


async def test_a_row_of_an_earlier_version_that_shows_the_add_on_is_put_right_by_a_sweep(stack: Stack) -> None:
    made = await order(stack, PRICE)
    change(stack, made, items=[{"price": OTHER_PRICE}])
    at_stripe(stack, made)["items"]["data"].reverse()
    await settled(stack)
    former = {"product_id": at_stripe(stack, made)["items"]["data"][0]["price"]["product"], "price_id": OTHER_PRICE}
    async with stack.parts.database.transaction() as connection:
        await connection.execute(subscriptions.update().values(former | {"ordered_product_id": None}))
    await stack.parts.reconciler.run(full=True)
    await settled(stack)
    assert (await shown(stack, made, price_id=PRICE))["quantity"] == 1


async def test_a_second_product_on_one_subscription_takes_its_slot(stack: Stack) -> None:
    made = await order(stack, PRICE)
    change(stack, made, items=[{"price": OTHER_PRICE}], metadata={"touched": "yes"})
    await shown(stack, made, metadata={"touched": "yes"})
    charges = len(stack.charges())
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD, price_id=OTHER_PRICE)
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")
    assert len(stack.charges()) == charges


async def test_an_operation_written_into_the_metadata_of_another_subscription_harms_no_event(stack: Stack) -> None:
    made = await order(stack, PRICE)
    reserved = await stack.rows(subscriptions)
    params = {"customer": at_stripe(stack, made)["customer"], "items": [{"price": OTHER_PRICE}]}
    terms = {"collection_method": "send_invoice", "days_until_due": "30"}
    other = stack.simulator.routes.billing.create(params | terms)
    assert "dead" not in await settled(stack)
    async with stack.parts.database.transaction() as connection:
        row = reserved[0] | {"id": "lps_1", "operation_id": "lpo_1", "stripe_subscription_id": None}
        await connection.execute(subscriptions.insert().values(row | {"exclusive": False}))
    stack.simulator.routes.billing.update(other, {"metadata": {"lean_payments_operation": "lpo_1"}})
    assert "dead" not in await settled(stack)
    ids = {row["id"]: row["stripe_subscription_id"] for row in await stack.rows(subscriptions)}
    assert (ids["lps_1"], set(ids.values()) - {None}) == (None, {made["stripe_subscription_id"], other["id"]})


async def test_no_seats_are_shown_as_none(stack: Stack) -> None:
    made = await order(stack, PRICE)
    change(stack, made, items=[{"id": at_stripe(stack, made)["items"]["data"][0]["id"], "quantity": "0"}])
    assert (await shown(stack, made, quantity=0))["status"] == "active"


def metered(stack: Stack) -> str:
    """Make a price that is billed by usage, and return its id."""
    product = stack.simulator.routes.catalog.create_product({"name": "usage"})
    params = {"product": product["id"], "currency": "usd", "unit_amount": "10"}
    recurring = {"interval": "month", "usage_type": "metered", "meter": "mtr_1"}
    made: str = stack.simulator.routes.catalog.create_price(params | {"recurring": recurring})["id"]
    return made


async def test_a_metered_price_is_ordered_without_a_quantity(stack: Stack) -> None:
    made = await order(stack, metered(stack))
    assert made["status"] == "active"
    assert (await shown(stack, made))["quantity"] is None
    assert stack.charges() == []


async def test_a_metered_price_takes_its_slot(stack: Stack) -> None:
    price = metered(stack)
    made = await order(stack, price)
    answer = await stack.create(email=ADDRESS, payment_method_id=CARD, price_id=price)
    assert (answer.status_code, answer.json()["subscription_id"]) == (409, made["id"])


async def test_a_quantity_of_a_metered_price_is_refused_by_name(stack: Stack) -> None:
    answer = await stack.create(email=ADDRESS, price_id=metered(stack), quantity=2)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "quantity")
    assert await stack.rows(subscriptions) == []


async def test_a_paused_collection_is_shown_and_its_end_too(stack: Stack) -> None:
    made = await order(stack, PRICE)
    until = int(stack.clock.timestamp()) + 86400
    change(stack, made, pause_collection={"behavior": "void", "resumes_at": str(until)})

    async def paused() -> Any:
        return (await stack.client.get(f"{PATH}/{made['id']}")).json()["pause_collection"]

    pause = await stack.until(paused)
    assert pause["behavior"] == "void"
    assert pause["resumes_at"].endswith("Z")
    change(stack, made, pause_collection="")
    assert (await shown(stack, made, pause_collection=None))["status"] == "active"


async def test_a_paused_subscription_says_why(stack: Stack) -> None:
    made = await order(stack, PRICE)
    obj = at_stripe(stack, made)
    obj |= {
        "status": "paused",
        "status_details": {"paused": {"type": "subscription", "subscription": {"type": "final_payment_failure"}}},
    }
    stack.simulator.routes.billing._events.emit("customer.subscription.paused", obj)
    assert (await shown(stack, made, status="paused"))["paused_reason"] == "final_payment_failure"
