"""A change to another product takes that product's slot, so no second live subscription comes of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.changing import agreed, at_stripe, change, charged, give_card, ordered, preview, subscribed
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.storage.tables import subscriptions
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
THIRD = "price_third"


def third_product(stack: Stack) -> None:
    stack.simulator.ensure_price(
        price_id=THIRD,
        lookup_key="third",
        unit_amount=1900,
        currency="usd",
        interval="month",
        product_name="Third",
    )


async def another(stack: Stack, made: dict[str, Any], price: str, **body: Any) -> httpx.Response:
    """Create another subscription of the same customer."""
    return await stack.create(customer_id=made["customer_id"], price_id=price, payment_method_id="pm_card_visa", **body)


async def two(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two subscriptions of one customer, to the smaller and to a third product."""
    third_product(stack)
    first = await subscribed(stack)
    second = await another(stack, first, THIRD)
    assert second.status_code == 201, second.text
    return first, second.json()


def live(stack: Stack, price: str) -> int:
    """Count what is live at Stripe at a price."""
    held = [found for found in stack.simulator.state.objects.values() if found["object"] == "subscription"]
    prices = [item["price"]["id"] for found in held if found["status"] == "active" for item in found["items"]["data"]]
    return prices.count(price)


async def reserved(stack: Stack) -> list[str]:
    """Return the rows that hold a slot for an operation that has no answer yet."""
    return [row["id"] for row in await stack.rows(subscriptions) if row["status"] == "creating"]


def behind(stack: Stack, made: dict[str, Any]) -> None:
    """Let Stripe have a subscription at the price to which nobody was told that it moved."""
    (item,) = at_stripe(stack, made)["items"]["data"]
    item["price"] = stack.simulator.state.get("price", PRICE)


async def test_of_two_changes_to_one_product_at_once_one_alone_is_made(stack: Stack) -> None:
    both = await two(stack)
    answers = await asyncio.gather(*(change(stack, made, price_id=PRICE) for made in both))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (refused,) = (answer.json()["code"] for answer in answers if answer.status_code == 409)
    assert refused in {"subscription_exists", "subscription_in_progress"}
    assert (live(stack, PRICE), await reserved(stack)) == (1, [])
    for made, answer in zip(both, answers, strict=True):
        assert (ordered(stack, made)[0] == PRICE) is (answer.status_code == 200)
        await agreed(stack, made)


async def test_of_a_creation_and_a_change_to_its_product_at_once_one_alone_is_made(stack: Stack) -> None:
    made = await subscribed(stack)
    changing, creating = await asyncio.gather(change(stack, made, price_id=PRICE), another(stack, made, PRICE))
    assert sorted([changing.is_success, creating.is_success]) == [False, True], (changing.text, creating.text)
    assert {answer.status_code for answer in (changing, creating)} <= {200, 201, 409}
    assert (live(stack, PRICE), await reserved(stack)) == (1, [])


async def test_what_the_mirror_has_not_heard_of_is_seen_at_stripe(stack: Stack) -> None:
    first, second = await two(stack)
    behind(stack, second)
    refused = await change(stack, first, price_id=PRICE)
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_exists")
    assert refused.json()["subscription_id"] == second["id"]
    assert (live(stack, PRICE), ordered(stack, first), await reserved(stack)) == (1, (OTHER_PRICE, 1), [])
    read = (await stack.client.get(f"/api/v1/subscriptions/{second['id']}")).json()
    assert read["price_id"] == PRICE


async def test_a_change_whose_answer_was_lost_keeps_the_slot_until_it_is_known(stack: Stack) -> None:
    first, second = await two(stack)
    path = f"/v1/subscriptions/{first['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_before", method="POST", path=path, count=10))
    assert (await change(stack, first, key="lost", price_id=PRICE)).status_code == 503
    assert len(await reserved(stack)) == 1
    for answer in (await change(stack, second, price_id=PRICE), await another(stack, first, PRICE)):
        assert (answer.status_code, answer.json()["code"]) == (409, "subscription_in_progress")
        assert answer.headers["retry-after"] == "2"
    stack.simulator.faults.clear()

    async def answered() -> httpx.Response | None:
        stack.clock.advance(5)
        answer = await change(stack, first, key="lost", price_id=PRICE)
        return answer if answer.status_code < 500 else None

    assert (await stack.until(answered)).json()["outcome"] == "applied"
    assert (live(stack, PRICE), await reserved(stack)) == (1, [])
    assert (await change(stack, second, price_id=PRICE)).json()["code"] == "subscription_exists"


async def test_a_change_that_was_made_stands_though_another_one_came_after_it(stack: Stack) -> None:
    first, second = await two(stack)
    path = f"/v1/subscriptions/{first['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=path, count=10))
    assert (await change(stack, first, key="lost", price_id=PRICE)).status_code == 503
    stack.simulator.faults.clear()
    behind(stack, second)

    async def answered() -> httpx.Response | None:
        stack.clock.advance(5)
        answer = await change(stack, first, key="lost", price_id=PRICE)
        return answer if answer.status_code < 500 else None

    told = await stack.until(answered)
    assert (told.status_code, told.json()["outcome"], ordered(stack, first)) == (200, "applied", (PRICE, 1))
    assert await reserved(stack) == []


@pytest.mark.parametrize("card", ["pm_card_chargeCustomerFail", "pm_card_authenticationRequired"])
async def test_a_change_that_waits_for_its_payment_keeps_others_off_the_product(stack: Stack, card: str) -> None:
    first, second = await two(stack)
    await give_card(stack, first, card)
    assert (await change(stack, first, price_id=PRICE)).json()["outcome"].startswith("requires_")
    assert await reserved(stack) == []
    for answer in (await change(stack, second, price_id=PRICE), await another(stack, first, PRICE)):
        assert (answer.status_code, answer.json()["code"]) == (409, "subscription_exists")
        assert answer.json()["subscription_id"] == first["id"]
    assert live(stack, PRICE) == 0
    assert at_stripe(stack, first)["pending_update"] is not None


async def test_a_change_that_is_refused_gives_the_slot_back(stack: Stack) -> None:
    made = await subscribed(stack)
    said = await preview(stack, made, price_id=PRICE)
    stack.simulator.state.get("customer", made["stripe_customer_id"])["balance"] = -300
    assert (await change(stack, made, price_id=PRICE, preview=said["fingerprint"])).json()["code"] == "preview_outdated"
    assert await reserved(stack) == []
    assert (await another(stack, made, PRICE)).status_code == 201


async def test_a_subscription_that_ended_meanwhile_gives_the_slot_back(stack: Stack) -> None:
    made = await subscribed(stack)
    at_stripe(stack, made)["status"] = "canceled"
    assert (await change(stack, made, price_id=PRICE)).status_code == 409
    assert await reserved(stack) == []
    assert (await another(stack, made, PRICE)).status_code == 201


async def test_several_are_allowed_when_asked_for(stack: Stack) -> None:
    first, second = await two(stack)
    assert (await change(stack, first, price_id=PRICE)).status_code == 200
    refused = await stack.client.post(f"/api/v1/subscriptions/{second['id']}/preview", json={"price_id": PRICE})
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_exists")
    assert refused.json()["subscription_id"] == first["id"]
    said = await preview(stack, second, price_id=PRICE, allow_multiple=True)
    answer = await change(stack, second, price_id=PRICE, allow_multiple=True, preview=said["fingerprint"])
    assert (answer.status_code, answer.json()["outcome"]) == (200, "applied")
    assert live(stack, PRICE) == 2
    assert charged(stack)[-1] == said["due_now"]


@SQLITE
async def test_a_change_within_the_product_asks_for_no_slot(stack: Stack) -> None:
    _, second = await two(stack)
    product = stack.simulator.state.get("price", THIRD)["product"]
    more = stack.simulator.ensure_price(
        price_id="price_fourth",
        lookup_key="fourth",
        unit_amount=2100,
        currency="usd",
        interval="month",
        product_name="Third",
    )
    more["product"] = product
    assert (await change(stack, second, price_id="price_fourth")).status_code == 200
    begun = stack.simulator.api.requests
    assert (await change(stack, second, quantity=2)).status_code == 200
    of_a_quantity = stack.simulator.api.requests - begun
    assert (await change(stack, second, price_id=THIRD)).status_code == 200
    assert stack.simulator.api.requests - begun == 2 * of_a_quantity
    assert await reserved(stack) == []


@SQLITE
@pytest.mark.parametrize("body", [{"quantity": 2}, {"metadata": {"a": "b"}}])
async def test_several_are_allowed_of_a_price_alone(stack: Stack, body: dict[str, Any]) -> None:
    made = await subscribed(stack)
    answer = await change(stack, made, **body, allow_multiple=True)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "allow_multiple")
