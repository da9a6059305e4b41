"""Changes of a trial, and of what costs nothing: metadata, description, payment method, a cancellation taken back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.changing import agreed, at_stripe, change, charged, give_card, ordered, preview, saved, subscribed
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.storage.tables import audit_log, outbox
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

DAY = 86400
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


async def end(stack: Stack, made: dict[str, Any], *, at_period_end: bool = True) -> Any:
    path = f"/api/v1/subscriptions/{made['id']}/cancel"
    return await stack.client.post(path, json={"at_period_end": at_period_end})


async def test_metadata_is_merged_and_what_is_ours_stays(stack: Stack) -> None:
    made = await subscribed(stack, metadata={"team": "a", "old": "x", "kept": "y"})
    ours = {name for name in at_stripe(stack, made)["metadata"] if name.startswith("lean_payments_")}
    assert ours
    body = {"metadata": {"team": "b", "old": None, "gone": ""}}
    answer = await change(stack, made, key="meta", **body)
    told = answer.json()
    assert (answer.status_code, told["metadata"]) == (200, {"team": "b", "kept": "y"})
    assert (told["outcome"], told["pending"], told["client_secret"]) == ("applied", None, None)
    assert at_stripe(stack, made)["metadata"].keys() == ours | {"team", "kept"}
    again = await change(stack, made, key="meta", **body)
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    refused = await change(stack, made, metadata={"lean_payments_operation": "x"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "metadata")
    assert [row["action"] for row in await stack.rows(audit_log)].count("subscription.update") == 1
    changed = [[*(row["after"] or {})] for row in await stack.rows(outbox) if row["object_type"] == "subscriptions"]
    assert changed.count(["metadata"]) == 1, "told once, whether by our call or by Stripe's event"
    await agreed(stack, made)


@SQLITE
async def test_a_description_is_set_and_removed(stack: Stack) -> None:
    made = await subscribed(stack)
    assert (await change(stack, made, description="Ten seats")).json()["description"] == "Ten seats"
    assert at_stripe(stack, made)["description"] == "Ten seats"
    assert (await change(stack, made, description=None)).json()["description"] is None
    assert at_stripe(stack, made)["description"] is None
    assert (await change(stack, made, description="two\nlines")).status_code == 422


async def test_a_card_that_the_customer_has_is_charged_from_then_on_and_another_one_is_refused(stack: Stack) -> None:
    made = await subscribed(stack)
    other = (await stack.create(email="eve@example.com", payment_method_id="pm_card_visa")).json()
    theirs = at_stripe(stack, other)["default_payment_method"]
    before = at_stripe(stack, made)["default_payment_method"]
    for method in (theirs, "pm_card_visa", "pm_unknown"):
        refused = await change(stack, made, default_payment_method_id=method)
        assert (refused.status_code, refused.json()["code"]) == (422, "stripe_rejected")
        assert refused.json()["errors"][0]["field"] == "default_payment_method_id"
    assert at_stripe(stack, made)["default_payment_method"] == before
    card = saved(stack, made, "pm_card_mastercard")
    told = (await change(stack, made, default_payment_method_id=card)).json()
    assert (told["default_payment_method_id"], charged(stack)) == (card, [900, 2900])
    assert (await change(stack, made, quantity=2)).json()["outcome"] == "applied"
    (charge,) = (charge for charge in stack.simulator.state.all("charge") if charge["payment_method"] == card)
    assert charge["amount"] == charged(stack)[-1]


async def test_a_cancellation_is_taken_back_until_the_subscription_has_ended(stack: Stack) -> None:
    made = await subscribed(stack)
    assert (await end(stack, made)).json()["cancel_at_period_end"] is True
    told = (await change(stack, made, cancel_at_period_end=False)).json()
    assert (told["cancel_at_period_end"], told["cancel_at"], told["canceled_at"]) == (False, None, None)
    assert (await change(stack, made, cancel_at_period_end=True)).json()["cancel_at_period_end"] is True
    assert (await change(stack, made, cancel_at_period_end=False)).json()["cancel_at"] is None
    await end(stack, made, at_period_end=False)
    late = await change(stack, made, cancel_at_period_end=False)
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    await agreed(stack, made)


@SQLITE
async def test_a_cancellation_for_a_date_that_was_set_elsewhere_is_taken_back_too(stack: Stack) -> None:
    made = await subscribed(stack)
    found = at_stripe(stack, made)
    stack.simulator.routes.billing.update(found, {"cancel_at": str(stack.simulator.state.now + 3 * DAY)})

    async def known() -> bool:
        read = await stack.client.get(f"/api/v1/subscriptions/{made['id']}")
        return read.json()["cancel_at"] is not None

    await stack.until(known)
    assert (await change(stack, made, cancel_at_period_end=False)).json()["cancel_at"] is None
    assert found["cancel_at"] is None


@SQLITE
async def test_an_incomplete_one_takes_metadata_and_a_payment_method_only(stack: Stack) -> None:
    made = (await stack.create(email="eve@example.com")).json()
    assert made["status"] == "incomplete"
    assert (await change(stack, made, metadata={"a": "b"})).json()["metadata"] == {"a": "b"}
    card = saved(stack, made, "pm_card_mastercard")
    assert (await change(stack, made, default_payment_method_id=card)).json()["status"] == "incomplete"
    for body in ({"description": "x"}, {"cancel_at_period_end": True}, {"trial_end": "now"}):
        assert (await change(stack, made, **body)).json()["code"] == "conflict"


@SQLITE
async def test_what_may_have_to_be_paid_goes_with_nothing_beside(stack: Stack) -> None:
    made = await subscribed(stack)
    bodies: tuple[tuple[dict[str, Any], str], ...] = (
        ({"quantity": 2, "metadata": {"a": "b"}}, "metadata"),
        ({"trial_end": "now", "cancel_at_period_end": False}, "cancel_at_period_end"),
        ({"description": "x", "proration_behavior": "none"}, "proration_behavior"),
        ({"trial_end": "2027-13-01T00:00:00Z"}, "trial_end"),
        ({"trial_end": "tomorrow"}, "trial_end"),
        ({"metadata": {}}, "metadata"),
        ({"default_payment_method_id": None}, "default_payment_method_id"),
    )
    for body, field in bodies:
        answer = await change(stack, made, **body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    assert (ordered(stack, made), charged(stack)) == ((OTHER_PRICE, 1), [900])


async def test_a_trial_that_is_ended_charges_what_was_previewed(stack: Stack) -> None:
    made = await subscribed(stack, trial_days=14)
    body: dict[str, Any] = {"trial_end": "now", "price_id": PRICE, "quantity": 2}
    said = await preview(stack, made, **body)
    assert (said["due_now"], said["invoice"]["total"], said["next_invoice"]) == (5800, 5800, None)
    assert [line["proration"] for line in said["invoice"]["lines"]] == [False]
    other = await change(stack, made, trial_end="now", preview=said["fingerprint"])
    assert (other.status_code, other.json()["code"]) == (409, "preview_outdated")
    stack.clock.advance(60)
    told = (await change(stack, made, **body, preview=said["fingerprint"])).json()
    assert (told["outcome"], told["status"], told["price_id"], told["quantity"]) == ("applied", "active", PRICE, 2)
    assert charged(stack) == [5800]
    assert told["trial_end"] == told["current_period_start"]
    again = await change(stack, made, trial_end="now")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    await agreed(stack, made)


async def test_a_trial_is_moved_within_stripes_bounds_and_costs_nothing(stack: Stack) -> None:
    made = await subscribed(stack, trial_days=14)
    anchor, now = at_stripe(stack, made)["trial_end"], stack.simulator.state.now
    for wanted in (anchor + 10 * DAY, now + 2 * DAY):
        said = await preview(stack, made, trial_end=moment(wanted))
        assert (said["due_now"], said["invoice"], said["next_invoice"]["total"]) == (0, None, 900)
        told = (await change(stack, made, trial_end=moment(wanted), preview=said["fingerprint"])).json()
        assert (told["status"], datetime.fromisoformat(told["trial_end"]).timestamp()) == ("trialing", wanted)
        assert told["current_period_end"] == told["trial_end"]
    for wanted in (now - DAY, now + 3 * 366 * DAY):
        refused = await change(stack, made, trial_end=moment(wanted))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "trial_end"), refused.text
    stack.clock.advance(3 * DAY)
    stack.simulator.tick()
    assert (at_stripe(stack, made)["status"], charged(stack)) == ("active", [900])
    await agreed(stack, made)


@SQLITE
async def test_a_trial_whose_end_is_declined_goes_on(stack: Stack) -> None:
    made = await subscribed(stack, trial_days=14)
    await give_card(stack, made, "pm_card_chargeCustomerFail")
    told = (await change(stack, made, trial_end="now", price_id=PRICE)).json()
    assert (told["outcome"], told["status"], told["price_id"]) == ("requires_payment_method", "trialing", OTHER_PRICE)
    assert told["pending"]["price_id"] == PRICE
    assert (at_stripe(stack, made)["status"], charged(stack)) == ("trialing", [])


async def test_an_update_whose_answer_was_lost_is_made_once(stack: Stack) -> None:
    made = await subscribed(stack)

    def updates() -> int:
        told = [event["type"] for event in stack.simulator.state.all("event")]
        return told.count("customer.subscription.updated")

    before, path = updates(), f"/v1/subscriptions/{made['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=path, count=10))
    lost = await change(stack, made, key="lost", metadata={"a": "b"})
    assert lost.status_code == 503
    stack.simulator.faults.clear()

    async def answered() -> Any:
        stack.clock.advance(5)
        answer = await change(stack, made, key="lost", metadata={"a": "b"})
        return answer if answer.is_success else None

    assert (await stack.until(answered)).json()["metadata"] == {"a": "b"}
    assert updates() == before + 1


UPDATES: tuple[dict[str, Any], ...] = (
    {"price_id": PRICE},
    {"cancel_at_period_end": False},
    {"cancel_at_period_end": True},
    {"metadata": {"a": "b"}},
    {"trial_end": "now"},
)


@pytest.mark.parametrize("second", UPDATES, ids="-".join)
async def test_a_change_and_another_at_once_end_in_a_state_that_stripe_and_we_agree_on(
    stack: Stack, second: dict[str, Any]
) -> None:
    made = await subscribed(stack, trial_days=14)
    answers = await asyncio.gather(change(stack, made, quantity=3), change(stack, made, **second))
    assert [answer.status_code for answer in answers] == [200, 200]
    await agreed(stack, made)


@pytest.mark.parametrize("body", UPDATES[1:], ids="-".join)
async def test_an_update_and_a_cancellation_at_once_end_canceled(stack: Stack, body: dict[str, Any]) -> None:
    made = await subscribed(stack, trial_days=14)
    updating, ending = await asyncio.gather(change(stack, made, **body), end(stack, made, at_period_end=False))
    assert ending.status_code == 200
    assert updating.status_code in {200, 409}, updating.text
    assert at_stripe(stack, made)["status"] == "canceled"
    assert charged(stack) in ([], [900])
    await agreed(stack, made)
