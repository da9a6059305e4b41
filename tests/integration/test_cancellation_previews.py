"""Previews of cancellations: what they give back, settle and leave, and that the cancellation does just that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.changing import at_stripe, change, charged, subscribed
from tests.servers.proration import share

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack


async def ask(stack: Stack, made: dict[str, Any], what: str = "cancel/preview", **body: Any) -> httpx.Response:
    return await stack.client.post(f"/api/v1/subscriptions/{made['id']}/{what}", json=body)


def credit(stack: Stack, made: dict[str, Any]) -> int:
    return -int(stack.simulator.state.get("customer", made["stripe_customer_id"])["balance"])


async def test_what_is_given_back_is_what_was_previewed(stack: Stack) -> None:
    made = await subscribed(stack)
    item = at_stripe(stack, made)["items"]["data"][0]
    start, end = item["current_period_start"], item["current_period_end"]
    expected = share(900, left=end - stack.simulator.state.now, whole=end - start)
    answer = await ask(stack, made, at_period_end=False, prorate=True)
    said = answer.json()
    assert answer.status_code == 200, answer.text
    assert (said["due_now"], said["next_invoice"], said["currency"]) == (0, None, "usd")
    (line,) = said["invoice"]["lines"]
    assert said["invoice"]["total"] == line["amount"] == -expected
    assert line["proration"] is True
    assert at_stripe(stack, made)["status"] == "active", "nothing is changed"
    ended = await ask(stack, made, "cancel", at_period_end=False, prorate=True)
    assert ended.json()["status"] == "canceled"
    assert (credit(stack, made), charged(stack)) == (expected, [900])


async def test_what_waited_for_the_next_invoice_is_settled_with_the_last_one(stack: Stack) -> None:
    made = await subscribed(stack)
    await change(stack, made, quantity=3, proration_behavior="create_prorations")
    now = (await ask(stack, made, at_period_end=False, prorate=True)).json()
    assert len(now["invoice"]["lines"]) == 3
    said = (await ask(stack, made, at_period_end=True)).json()
    later = said["next_invoice"]
    assert (said["due_now"], said["invoice"], [line["proration"] for line in later["lines"]]) == (0, None, [True, True])
    assert now["invoice"]["total"] < 0 < later["amount_due"]
    assert said["ends_at"] == made["current_period_end"]
    await ask(stack, made, "cancel", at_period_end=True)
    stack.clock.advance(25 * 86400)
    stack.simulator.tick()
    assert (at_stripe(stack, made)["status"], charged(stack)) == ("canceled", [900, later["amount_due"]])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_cancellation_that_makes_no_invoice_says_so_and_one_that_cannot_be_is_refused(stack: Stack) -> None:
    made = await subscribed(stack)
    bodies: tuple[dict[str, Any], ...] = ({}, {"at_period_end": False})
    for body in bodies:
        said = (await ask(stack, made, **body)).json()
        assert (said["due_now"], said["invoice"], said["next_invoice"], said["currency"]) == (0, None, None, None)
    refused = await ask(stack, made, prorate=True)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "prorate")
    waiting = (await stack.create(email="eve@example.com")).json()
    assert (await ask(stack, waiting)).json()["code"] == "conflict"
    assert (await ask(stack, waiting, at_period_end=False)).status_code == 200
    await ask(stack, made, "cancel", at_period_end=False)
    assert credit(stack, made) == 0
    assert (await ask(stack, made)).json()["code"] == "conflict"
    assert (await ask(stack, {"id": "lps_unknown"})).status_code == 404
