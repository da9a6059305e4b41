"""Operations on one subscription end in the order in which they began, also when the first was interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError
from tests.servers.changing import agreed, at_stripe, change, charged, give_card, ordered, preview, subscribed
from tests.servers.stack import OTHER_PRICE, PRICE

from payment_service.operations import turns
from payment_service.payment_methods import changes
from payment_service.storage.tables import operations
from payment_service.subscriptions import order
from payment_service.subscriptions.creation_outcomes import CreationOutcomes
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    import httpx
    import pytest
    from tests.servers.stack import Stack

CARD = "pm_card_visa"


def away(stack: Stack, made: dict[str, Any]) -> None:
    """Let Stripe take no change of the subscription."""
    path = f"/v1/subscriptions/{made['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="500_before", method="POST", path=path, count=99))


async def cancel(stack: Stack, made: dict[str, Any], *, at_period_end: bool) -> httpx.Response:
    path = f"/api/v1/subscriptions/{made['id']}/cancel"
    return await stack.client.post(path, json={"at_period_end": at_period_end})


async def ended(stack: Stack) -> None:
    """Wait until every operation has its answer."""

    async def finished() -> bool:
        stack.clock.advance(5)
        return all(row["finished"] for row in await stack.rows(operations))

    await stack.until(finished)


async def test_an_older_change_is_made_before_a_newer_and_undoes_nothing(stack: Stack) -> None:
    made = await subscribed(stack)
    away(stack, made)
    assert (await change(stack, made, key="older", quantity=2)).status_code == 503
    stack.simulator.faults.clear()
    stack.clock.advance(5)
    assert (await change(stack, made, key="newer", quantity=5)).status_code == 200
    await ended(stack)
    assert ordered(stack, made) == (OTHER_PRICE, 5)
    assert (await change(stack, made, key="older", quantity=2)).json()["quantity"] == 2
    assert ordered(stack, made) == (OTHER_PRICE, 5)
    await agreed(stack, made)


async def test_a_cancellation_waits_for_one_that_is_taken_back_before(stack: Stack) -> None:
    made = await subscribed(stack)
    assert (await cancel(stack, made, at_period_end=True)).status_code == 200
    away(stack, made)
    assert (await change(stack, made, cancel_at_period_end=False)).status_code == 503
    stack.simulator.faults.clear()
    stack.clock.advance(5)
    assert (await cancel(stack, made, at_period_end=True)).status_code == 200
    await ended(stack)
    assert at_stripe(stack, made)["cancel_at_period_end"]


async def test_what_cannot_be_ended_is_waited_for_no_longer_than_a_request_takes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.5)
    made = await subscribed(stack)
    away(stack, made)
    assert (await change(stack, made, quantity=2)).status_code == 503
    refused = await change(stack, made, key="again", quantity=5)
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_in_progress")
    assert int(refused.headers["retry-after"]) >= 1
    assert len([row for row in await stack.rows(operations) if row["kind"] == "change_subscription"]) == 1
    now = await stack.client.post(f"/api/v1/subscriptions/{made['id']}/cancel", json={"at_period_end": False})
    assert now.status_code == 200  # an end at once waits for nothing
    stack.simulator.faults.clear()
    await ended(stack)
    assert at_stripe(stack, made)["status"] == "canceled"


async def test_changes_of_one_moment_are_made_one_after_the_other(stack: Stack) -> None:
    made = await subscribed(stack)
    answers = await asyncio.gather(*(change(stack, made, quantity=quantity) for quantity in range(2, 8)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert [answer.json()["quantity"] for answer in answers] == [2, 3, 4, 5, 6, 7]
    await agreed(stack, made)


async def test_a_deadlock_after_the_payment_is_no_second_subscription(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that paid is begun anew: what it finds paid was paid by itself."""

    class Deadlock(Exception):
        sqlstate = "40P01"

    assert (await stack.create(email="bob@example.com")).json()["status"] == "incomplete"
    succeed, tries = CreationOutcomes.succeed, []

    async def collide(self: CreationOutcomes, *arguments: Any, **more: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DBAPIError("COMMIT", {}, Deadlock())
        await succeed(self, *arguments, **more)

    monkeypatch.setattr(CreationOutcomes, "succeed", collide)
    answer = await stack.create(email="bob@example.com", payment_method_id=CARD)
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    assert len(charged(stack)) == 1
    assert len(tries) == 2


async def test_a_previewed_change_is_completed_by_who_cannot_make_previews(stack: Stack) -> None:
    """A worker, which knows no SECRET_KEY."""
    made = await subscribed(stack)
    seen = await preview(stack, made, quantity=3)
    stack.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/invoices/create_preview", count=99))
    asked = await change(stack, made, key="once", quantity=3, preview=seen["fingerprint"])
    assert asked.status_code == 503
    stack.simulator.faults.clear()
    await ended(stack)
    assert ordered(stack, made) == (OTHER_PRICE, 3)
    assert charged(stack)[1:] == [seen["due_now"]]


async def test_a_change_whose_payment_stripe_waits_for_no_more_is_not_called_made(stack: Stack) -> None:
    made = await subscribed(stack)
    await give_card(stack, made, "pm_card_chargeCustomerFail")
    path = f"/v1/subscriptions/{made['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=path, count=99))
    assert (await change(stack, made, key="once", price_id=PRICE)).status_code == 503
    stack.simulator.faults.clear()
    assert at_stripe(stack, made)["pending_update"] is not None
    at_stripe(stack, made)["pending_update"] = None  # its invoice was voided in the Dashboard
    await ended(stack)
    answer = await change(stack, made, key="once", price_id=PRICE)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert ordered(stack, made) == (OTHER_PRICE, 1)


IN_NO_ORDER = {
    "create_subscription": "its slot is taken by one at a time",
    "create_customer": "nothing is before it",
    "create_setup_intent": "nothing is before it",
    "cancel_setup_intent": "for good",
    "create_refund": "each is one of its own, and Stripe holds their sum to what was paid",
    "detach_payment_method": "for good",
}
"""Operations that are told to Stripe and wait for no other one of their object, and why that is right."""


def test_every_kind_that_changes_what_others_change_has_its_turn(stack: Stack) -> None:
    kinds = set(stack.parts.operations._handlers)
    assert kinds == {*order.TURNS.kinds, *changes.TURNS.kinds, *IN_NO_ORDER}
