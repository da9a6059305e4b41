"""What a change leaves out is as Stripe has it, whatever the mirror says: here Stripe was changed and told nobody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.changing import at_stripe, change, charged, ordered, preview, subscribed
from tests.servers.stack import OTHER_PRICE, PRICE

if TYPE_CHECKING:
    from tests.servers.stack import Stack

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def untold(stack: Stack, made: dict[str, Any], **members: Any) -> None:
    """Change the subscription's item at Stripe, without an event."""
    (item,) = at_stripe(stack, made)["items"]["data"]
    item |= members


def price(stack: Stack, price_id: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.simulator.state.get("price", price_id)
    return found


async def test_a_change_of_the_quantity_leaves_the_price_that_was_set_elsewhere(stack: Stack) -> None:
    made = await subscribed(stack)
    untold(stack, made, price=price(stack, PRICE))
    said = await preview(stack, made, quantity=2)
    assert (said["price_id"], said["quantity"], said["next_invoice"]["total"]) == (PRICE, 2, 5800)
    answer = await change(stack, made, quantity=2, preview=said["fingerprint"])
    assert (answer.status_code, answer.json()["price_id"], answer.json()["outcome"]) == (200, PRICE, "applied")
    assert (ordered(stack, made), charged(stack)) == ((PRICE, 2), [900, said["due_now"]])


async def test_a_change_of_the_price_leaves_the_quantity_that_was_set_elsewhere(stack: Stack) -> None:
    made = await subscribed(stack)
    untold(stack, made, quantity=4)
    said = await preview(stack, made, price_id=PRICE)
    assert (said["quantity"], said["next_invoice"]["total"]) == (4, 4 * 2900)
    answer = await change(stack, made, price_id=PRICE, preview=said["fingerprint"])
    assert (answer.status_code, answer.json()["quantity"]) == (200, 4)
    assert (ordered(stack, made), charged(stack)) == ((PRICE, 4), [900, said["due_now"]])


@pytest.mark.parametrize("told", [True, False])
async def test_a_quantity_of_nothing_stays_nothing(stack: Stack, told: bool) -> None:  # noqa: FBT001 - a parameter
    made = await subscribed(stack)
    if told:
        found = at_stripe(stack, made)
        items = [{"id": found["items"]["data"][0]["id"], "quantity": "0"}]
        stack.simulator.routes.billing.update(found, {"items": items, "proration_behavior": "none"})

        async def known() -> bool:
            read = await stack.client.get(f"/api/v1/subscriptions/{made['id']}")
            return bool(read.json()["quantity"] == 0)

        await stack.until(known)
    else:
        untold(stack, made, quantity=0)
    assert (await change(stack, made, price_id=PRICE)).json()["outcome"] == "applied"
    assert (ordered(stack, made), charged(stack)) == ((PRICE, 0), [900])


@SQLITE
async def test_a_fingerprint_does_not_hold_for_a_price_that_was_set_after_the_preview(stack: Stack) -> None:
    made = await subscribed(stack)
    body: dict[str, Any] = {"quantity": 2, "proration_behavior": "none"}
    said = await preview(stack, made, **body)
    untold(stack, made, price=price(stack, PRICE))
    refused = await change(stack, made, **body, preview=said["fingerprint"])
    assert (refused.status_code, refused.json()["code"]) == (409, "preview_outdated")
    assert (ordered(stack, made), charged(stack)) == ((PRICE, 1), [900])


@SQLITE
async def test_what_cannot_be_changed_any_more_is_a_conflict(stack: Stack) -> None:
    made = await subscribed(stack, trial_days=14)
    at_stripe(stack, made)["status"] = "active"
    path = f"/api/v1/subscriptions/{made['id']}/preview"
    for answer in (
        await change(stack, made, trial_end="2099-01-01T00:00:00Z"),
        await stack.client.post(path, json={"trial_end": "now"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), answer.text
    at_stripe(stack, made)["items"]["data"] *= 2
    for answer in (await change(stack, made, quantity=2), await stack.client.post(path, json={"quantity": 2})):
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), answer.text
    assert charged(stack) == []


@SQLITE
async def test_a_quantity_of_what_became_metered_is_refused_by_name(stack: Stack) -> None:
    made = await subscribed(stack)
    stack.simulator.ensure_price(
        price_id="price_metered",
        lookup_key="metered",
        unit_amount=5,
        currency="usd",
        interval="month",
        product_name="Metered",
        usage_type="metered",
    )
    untold(stack, made, price=price(stack, "price_metered"), quantity=None)
    path = f"/api/v1/subscriptions/{made['id']}/preview"
    for answer in (await change(stack, made, quantity=2), await stack.client.post(path, json={"quantity": 2})):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "quantity"), answer.text
    assert (await change(stack, made, price_id=PRICE)).json()["quantity"] == 1


async def test_changes_of_price_and_quantity_at_once_undo_neither(stack: Stack) -> None:
    made = await subscribed(stack)
    answers = await asyncio.gather(change(stack, made, price_id=PRICE), change(stack, made, quantity=5))
    taken = [answer.status_code == 200 for answer in answers]
    assert any(taken)
    assert ordered(stack, made) == (PRICE if taken[0] else OTHER_PRICE, 5 if taken[1] else 1)


async def test_a_period_that_was_renewed_behind_the_mirror_is_given_up_for_one_that_is_due_now(stack: Stack) -> None:
    made = await subscribed(stack)
    year = stack.simulator.ensure_price(
        price_id="price_year",
        lookup_key="yearly",
        unit_amount=30_000,
        currency="usd",
        interval="year",
        product_name="Yearly",
    )
    (item,) = at_stripe(stack, made)["items"]["data"]
    begun = stack.simulator.state.now - 3600
    former = item["current_period_end"] - item["current_period_start"]
    untold(stack, made, current_period_start=begun, current_period_end=begun + former)
    stack.clock.advance(former - 7200)
    body: dict[str, Any] = {"price_id": year["id"], "proration_behavior": "create_prorations"}
    said = await preview(stack, made, **body)
    assert 29_000 < said["due_now"] < 30_000
    assert said["invoice"]["total"] == said["due_now"]
    assert (await change(stack, made, **body, preview=said["fingerprint"])).json()["outcome"] == "applied"
    assert charged(stack) == [900, said["due_now"]]


@pytest.mark.parametrize("dated", [True, False])
async def test_a_cancellation_that_was_made_elsewhere_is_taken_back(stack: Stack, dated: bool) -> None:  # noqa: FBT001 - a parameter
    made = await subscribed(stack)
    found = at_stripe(stack, made)
    ends = stack.simulator.state.now + 86400 if dated else found["items"]["data"][0]["current_period_end"]
    found |= {"cancel_at": ends, "cancel_at_period_end": not dated, "canceled_at": stack.simulator.state.now}
    answer = await change(stack, made, cancel_at_period_end=False)
    assert (answer.status_code, answer.json()["cancel_at"], answer.json()["cancel_at_period_end"]) == (200, None, False)
    assert (found["cancel_at"], found["cancel_at_period_end"]) == (None, False)
