"""Previews and changes of price and quantity: what was previewed is what is charged, once, or nothing is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.changing import agreed, at_stripe, change, charged, give_card, ordered, preview, subscribed
from tests.servers.proration import Ordered, due
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.storage.tables import audit_log, outbox
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

BASIC, PRO = Ordered(unit=900, quantity=1), Ordered(unit=2900, quantity=1)


async def test_what_was_previewed_is_charged_once_and_recorded(stack: Stack) -> None:
    made = await subscribed(stack)
    said = await preview(stack, made, price_id=PRICE, quantity=2)
    held = at_stripe(stack, made)["items"]["data"][0]
    whole = held["current_period_end"] - held["current_period_start"]
    left = held["current_period_end"] - stack.simulator.state.now
    expected = due(BASIC, Ordered(unit=2900, quantity=2), left=left, whole=whole, behavior="always_invoice")
    assert abs(said["due_now"] - (expected.now or 0)) <= 1, "a second may have passed"
    assert said["invoice"]["total"] == said["due_now"] == sum(line["amount"] for line in said["invoice"]["lines"])
    assert [line["amount"] > 0 for line in said["invoice"]["lines"]] == [False, True]
    assert said["next_invoice"]["amount_due"] == 2 * 2900
    assert charged(stack) == [900]
    stack.clock.advance(120)
    answer = await change(stack, made, key="up", price_id=PRICE, quantity=2, preview=said["fingerprint"])
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["price_id"], told["quantity"], told["outcome"], told["pending"]) == (PRICE, 2, "applied", None)
    assert charged(stack) == [900, said["due_now"]]
    again = await change(stack, made, key="up", price_id=PRICE, quantity=2, preview=said["fingerprint"])
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    assert charged(stack) == [900, said["due_now"]]
    read = (await stack.client.get(f"/api/v1/subscriptions/{made['id']}")).json()
    assert (read["price_id"], read["quantity"], read["status"]) == (PRICE, 2, "active")
    actions = [row["action"] for row in await stack.rows(audit_log)]
    assert actions.count("subscription.change") == 1
    assert [(row["after"] or {}).get("price_id") for row in await stack.rows(outbox)].count(PRICE) >= 1


async def test_a_change_is_refused_when_another_amount_would_be_due(stack: Stack) -> None:
    made = await subscribed(stack)
    said = await preview(stack, made, price_id=PRICE)
    customer = stack.simulator.state.get("customer", made["stripe_customer_id"])
    customer["balance"] = -300
    refused = await change(stack, made, price_id=PRICE, preview=said["fingerprint"])
    assert (refused.status_code, refused.json()["code"]) == (409, "preview_outdated")
    assert (ordered(stack, made), charged(stack)) == ((OTHER_PRICE, 1), [900])
    said = await preview(stack, made, price_id=PRICE)
    assert said["due_now"] == said["invoice"]["total"] - 300
    assert (await change(stack, made, price_id=PRICE, preview=said["fingerprint"])).status_code == 200
    assert charged(stack) == [900, said["due_now"]]


async def test_a_preview_is_of_one_change_and_expires(stack: Stack) -> None:
    made = await subscribed(stack)
    said = await preview(stack, made, price_id=PRICE)
    at, expires, seen, mac = said["fingerprint"].split("_")[1:]
    others = [
        {"price_id": PRICE, "quantity": 2, "preview": said["fingerprint"]},
        {"price_id": PRICE, "proration_behavior": "none", "preview": said["fingerprint"]},
        {"price_id": PRICE, "preview": f"pvw_{at}_{int(expires) + 60}_{seen}_{mac}"},
        {"price_id": PRICE, "preview": f"pvw_{int(at) - 60}_{expires}_{seen}_{mac}"},
    ]
    answers = [await change(stack, made, **other) for other in others]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "preview_outdated")}
    stack.clock.advance(601)
    late = await change(stack, made, price_id=PRICE, preview=said["fingerprint"])
    assert (late.status_code, late.json()["code"]) == (409, "preview_outdated")
    assert (ordered(stack, made), charged(stack)) == ((OTHER_PRICE, 1), [900])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_prorations_may_wait_for_the_next_invoice_or_be_left_out(stack: Stack) -> None:
    made = await subscribed(stack)
    waits = await preview(stack, made, quantity=3, proration_behavior="create_prorations")
    none = await preview(stack, made, quantity=3, proration_behavior="none")
    assert (waits["due_now"], waits["invoice"], none["due_now"], none["invoice"]) == (0, None, 0, None)
    assert none["next_invoice"]["total"] == 2700
    assert waits["next_invoice"]["total"] > 2700
    body = {"quantity": 3, "proration_behavior": "create_prorations", "preview": waits["fingerprint"]}
    assert (await change(stack, made, **body)).json()["outcome"] == "applied"
    assert (ordered(stack, made), charged(stack)) == ((OTHER_PRICE, 3), [900])
    stack.clock.advance(25 * 86400)
    stack.simulator.tick()
    assert charged(stack) == [900, waits["next_invoice"]["amount_due"]]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_downgrade_becomes_credit(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")
    made = answer.json()
    said = await preview(stack, made, price_id=OTHER_PRICE)
    assert said["due_now"] == 0
    assert said["invoice"]["total"] < 0
    assert (await change(stack, made, price_id=OTHER_PRICE, preview=said["fingerprint"])).json()["outcome"] == "applied"
    assert charged(stack) == [2900]
    assert stack.simulator.state.get("customer", made["stripe_customer_id"])["balance"] == said["invoice"]["total"]


async def test_a_declined_change_says_so_and_the_former_order_stays_in_force(stack: Stack) -> None:
    made = await subscribed(stack)
    await give_card(stack, made, "pm_card_chargeCustomerFail")
    answer = await change(stack, made, price_id=PRICE)
    told = answer.json()
    assert (answer.status_code, told["outcome"], told["decline_code"]) == (
        200,
        "requires_payment_method",
        "generic_decline",
    )
    assert (told["price_id"], told["status"]) == (OTHER_PRICE, "active")
    assert (told["pending"]["price_id"], told["pending"]["quantity"]) == (PRICE, 1)
    assert told["client_secret"].startswith("pi_")
    assert (ordered(stack, made), charged(stack)) == ((OTHER_PRICE, 1), [900])


async def test_a_change_that_needs_the_customer_is_in_force_when_they_have_paid(stack: Stack) -> None:
    made = await subscribed(stack)
    await give_card(stack, made, "pm_card_authenticationRequired")
    told = (await change(stack, made, price_id=PRICE)).json()
    assert (told["outcome"], told["price_id"], told["status"]) == ("requires_action", OTHER_PRICE, "active")
    intent = stack.simulator.state.get("payment_intent", told["client_secret"].partition("_secret_")[0])
    world = stack.simulator.routes
    world.payments.authenticate(intent, succeeds=True)
    world.billing.after_confirmation(intent)

    async def in_force() -> bool:
        read = await stack.client.get(f"/api/v1/subscriptions/{made['id']}")
        return bool(read.json()["price_id"] == PRICE)

    await stack.until(in_force)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_cannot_be_changed_is_a_conflict(stack: Stack) -> None:
    waiting = (await stack.create(email="eve@example.com")).json()
    for call in (
        change(stack, waiting, quantity=2),
        stack.client.post(f"/api/v1/subscriptions/{waiting['id']}/preview", json={"quantity": 2}),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    made = await subscribed(stack)
    other = (await stack.create(customer_id=made["customer_id"], payment_method_id="pm_card_visa")).json()
    taken = await change(stack, made, price_id=PRICE)
    assert (taken.status_code, taken.json()["code"]) == (409, "subscription_exists")
    assert taken.json()["subscription_id"] == other["id"]
    await stack.client.post(f"/api/v1/subscriptions/{made['id']}/cancel", json={"at_period_end": False})
    assert (await change(stack, made, quantity=2)).status_code == 409
    assert (await change(stack, {"id": "lps_unknown"}, quantity=2)).status_code == 404
    for body in (
        {},
        {"quantity": 0},
        {"price_id": PRICE, "lookup_key": "pro_monthly"},
        {"quantity": 1, "preview": "x"},
    ):
        assert (await change(stack, other, **body)).status_code == 422
    assert (await change(stack, other, lookup_key="unknown")).json()["errors"][0]["field"] == "lookup_key"


async def test_two_changes_at_once_end_in_a_state_that_stripe_and_we_agree_on(stack: Stack) -> None:
    made = await subscribed(stack)
    answers = await asyncio.gather(*(change(stack, made, quantity=number) for number in (2, 3, 4)))
    assert {answer.status_code for answer in answers} == {200}
    await agreed(stack, made)


async def test_a_change_and_a_cancellation_at_once_end_canceled(stack: Stack) -> None:
    made = await subscribed(stack)
    path = f"/api/v1/subscriptions/{made['id']}/cancel"
    changing, ending = await asyncio.gather(
        change(stack, made, price_id=PRICE), stack.client.post(path, json={"at_period_end": False})
    )
    assert ending.status_code == 200
    assert changing.status_code in {200, 409}, changing.text
    assert at_stripe(stack, made)["status"] == "canceled"
    await agreed(stack, made)


async def test_a_change_whose_answer_was_lost_is_made_once(stack: Stack) -> None:
    made = await subscribed(stack)
    said = await preview(stack, made, price_id=PRICE)
    path = f"/v1/subscriptions/{made['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=path, count=10))
    lost = await change(stack, made, key="lost", price_id=PRICE, preview=said["fingerprint"])
    assert lost.status_code == 503
    stack.simulator.faults.clear()

    async def answered() -> Any:
        stack.clock.advance(5)
        answer = await change(stack, made, key="lost", price_id=PRICE, preview=said["fingerprint"])
        return answer if answer.is_success else None

    told = (await stack.until(answered)).json()
    assert (told["outcome"], told["price_id"]) == ("applied", PRICE)
    assert charged(stack) == [900, said["due_now"]]
