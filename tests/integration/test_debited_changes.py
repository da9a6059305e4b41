"""Changes of subscriptions that are paid by bank debit, which Stripe lets not wait for their payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.changing import agreed, at_stripe, change, charged, give_card, ordered, preview, subscribed
from tests.servers.stack import PRICE

from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

DEBIT, FAILS = "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"


async def test_a_change_that_is_paid_by_debit_is_made_at_once_and_charged_as_previewed(stack: Stack) -> None:
    made = await subscribed(stack, card=DEBIT)
    said = await preview(stack, made, price_id=PRICE)
    answer = await change(stack, made, key="up", price_id=PRICE, preview=said["fingerprint"])
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["outcome"], told["price_id"], told["pending"]) == ("applied", PRICE, None)
    again = await change(stack, made, key="up", price_id=PRICE, preview=said["fingerprint"])
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    assert charged(stack) == [900, said["due_now"]]
    await agreed(stack, made)


async def test_a_change_whose_debit_is_not_paid_is_in_force_and_says_so(stack: Stack) -> None:
    made = await subscribed(stack)
    await give_card(stack, made, FAILS)
    told = (await change(stack, made, price_id=PRICE)).json()
    assert (told["outcome"], told["price_id"], told["pending"]) == ("applied_unpaid", PRICE, None)
    assert told["client_secret"] is None
    assert (ordered(stack, made), charged(stack)) == ((PRICE, 1), [900])
    assert at_stripe(stack, made)["status"] == "past_due"
    await agreed(stack, made)


async def test_a_debited_change_whose_answers_were_lost_is_made_once(stack: Stack) -> None:
    made = await subscribed(stack, card=DEBIT)
    path = f"/v1/subscriptions/{made['stripe_subscription_id']}"
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=path, count=10))
    assert (await change(stack, made, key="lost", price_id=PRICE)).status_code == 503
    stack.simulator.faults.clear()
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path=path, count=2))

    async def answered() -> Any:
        stack.clock.advance(5)
        answer = await change(stack, made, key="lost", price_id=PRICE)
        return answer if answer.is_success else None

    told = (await stack.until(answered)).json()
    assert (told["outcome"], told["price_id"]) == ("applied", PRICE)
    assert len(charged(stack)) == 2
