"""A preview says what is invoiced, and both what a second calculator says; changes wait for their payment."""

from __future__ import annotations

import asyncio
import os
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.examples import examples
from tests.servers.proration import Due, Ordered, Trial, due, share
from tests.unit.simulator.calling import Stripe

from stripe_simulator.ledger import ledger

CHANGES = int(os.environ.get("PAYMENTS_TEST_CHANGES", examples(300)))
"""`make soak` draws more."""
BEHAVIORS = ("always_invoice", "create_prorations", "none")
ORDERED = some.builds(
    Ordered,
    unit=some.sampled_from([0, 1, 33, 900, 2900, 5900, 99_999]),
    quantity=some.integers(1, 40),
    interval=some.sampled_from(["month", "month", "month", "year"]),
)


@pytest.mark.parametrize(
    ("amount", "left", "whole", "part"),
    [(1000, 1, 2, 500), (2000, 15, 30, 1000), (1, 1, 2, 1), (1, 1, 3, 0), (-1, 1, 2, -1), (2900, 0, 30, 0)],
)
def test_a_share_is_rounded_to_the_minor_unit(amount: int, left: int, whole: int, part: int) -> None:
    assert share(amount, left=left, whole=whole) == part


@given(
    before=ORDERED,
    after=ORDERED,
    gone=some.integers(0, 999_000),
    behavior=some.sampled_from(BEHAVIORS),
    trial=some.sampled_from(["none", "none", *get_args(Trial)]),
)
@settings(max_examples=CHANGES, deadline=None)
def test_what_is_previewed_is_invoiced_to_the_minor_unit(
    before: Ordered, after: Ordered, gone: int, behavior: str, trial: Trial
) -> None:
    asyncio.run(_previewed_is_invoiced(before, after, gone=gone, behavior=behavior, trial=trial))


async def _previewed_is_invoiced(before: Ordered, after: Ordered, *, gone: int, behavior: str, trial: Trial) -> None:
    stripe = Stripe()
    made, new = await _ordered(stripe, before, after, trial=trial)
    (held,) = made["items"]["data"]
    start, whole = held["current_period_start"], held["current_period_end"] - held["current_period_start"]
    moment = start + gone * whole // 1_000_000
    stripe.advance(seconds=moment - start)
    wanted = {"id": held["id"], "price": new, "quantity": after.quantity}
    left = held["current_period_end"] - moment
    said = due(before, after, left=left, whole=whole, behavior=behavior, trial=trial)
    options: dict[str, Any] = {"proration_behavior": behavior}
    if trial in {"ends", "moves"}:
        options["trial_end"] = "now" if trial == "ends" else moment + whole
    elif behavior != "none":
        options["proration_date"] = moment
    details = {f"subscription_details[items][0][{name}]": value for name, value in wanted.items()}
    details |= {f"subscription_details[{name}]": value for name, value in options.items()}
    previewed = await stripe.make("invoices/create_preview", subscription=made["id"], **details)
    expected = said.following if said.now is None else said.now
    assert (previewed["total"], _parts(previewed)) == (expected, said.parts)
    stripe.advance(seconds=45)  # the second is pinned
    charged = _taken(stripe)
    changes = {f"items[0][{name}]": value for name, value in wanted.items()}
    changed = await stripe.make(
        f"subscriptions/{made['id']}", payment_behavior="pending_if_incomplete", **changes, **options
    )
    assert changed["pending_update"] is None
    assert changed["status"] == ("trialing" if trial in {"runs", "moves"} else "active")
    assert changed["items"]["data"][0]["price"]["id"] == new
    await _is_invoiced(stripe, changed, made, said)
    assert _taken(stripe) - charged == max(0, said.now or 0)


async def _ordered(stripe: Stripe, before: Ordered, after: Ordered, *, trial: Trial) -> tuple[dict[str, Any], str]:
    """Return a subscription to what is ordered before, and the price that is ordered then."""
    customer = await stripe.customer()
    old = await stripe.price(before.unit, interval=before.interval)
    same = (before.unit, before.interval) == (after.unit, after.interval)
    new = old if same else await stripe.price(after.unit, interval=after.interval)
    item: dict[str, Any] = {"items[0][price]": old, "items[0][quantity]": before.quantity}
    if trial != "none":
        item["trial_period_days"] = 14
    return await stripe.make("subscriptions", customer=customer, **item), new


@given(ordered=ORDERED, gone=some.integers(0, 999_000))
@settings(max_examples=examples(100), deadline=None)
def test_what_a_cancellation_is_previewed_to_give_back_becomes_credit(ordered: Ordered, gone: int) -> None:
    asyncio.run(_previewed_is_given_back(ordered, gone=gone))


async def _previewed_is_given_back(ordered: Ordered, *, gone: int) -> None:
    stripe = Stripe()
    made, _ = await _ordered(stripe, ordered, ordered, trial="none")
    (held,) = made["items"]["data"]
    start, end = held["current_period_start"], held["current_period_end"]
    moment = start + gone * (end - start) // 1_000_000
    stripe.advance(seconds=moment - start)
    back = share(ordered.cost, left=end - moment, whole=end - start)
    details = {"subscription_details[cancel_now]": "true"}
    reply = await stripe.call("POST", "invoices/create_preview", subscription=made["id"], **details)
    if ordered.cost:
        assert (reply.body["total"], reply.body["amount_due"]) == (-back, 0)
    else:
        assert reply.error["code"] == "invoice_upcoming_none"
    ended = await stripe.call("DELETE", f"subscriptions/{made['id']}", prorate="true", invoice_now="true")
    assert ended.body["status"] == "canceled"
    customer = (await stripe.call("GET", f"customers/{made['customer']}")).body
    assert (customer["balance"], _taken(stripe)) == (-back, ordered.cost)


async def _is_invoiced(stripe: Stripe, changed: dict[str, Any], made: dict[str, Any], said: Due) -> None:
    if said.now is None:
        assert changed["latest_invoice"] == made["latest_invoice"]
        return
    invoice = (await stripe.call("GET", f"invoices/{changed['latest_invoice']}")).body
    assert (invoice["total"], _parts(invoice), invoice["status"]) == (said.now, said.parts, "paid")


async def test_a_change_that_is_paid_by_bank_debit_cannot_wait(stripe: Stripe) -> None:
    customer = await stripe.customer("pm_usBankAccount_success")
    made = await stripe.make("subscriptions", customer=customer, **{"items[0][price]": await stripe.price(900)})
    change = {"items[0][id]": made["items"]["data"][0]["id"], "items[0][quantity]": 2}
    change["proration_behavior"] = "always_invoice"
    path = f"subscriptions/{made['id']}"
    refused = await stripe.call("POST", path, payment_behavior="pending_if_incomplete", **change)
    assert (refused.status, refused.error["param"]) == (400, "payment_behavior")
    assert (await stripe.make(path, **change))["items"]["data"][0]["quantity"] == 2
    charge = (await stripe.call("GET", "charges")).body["data"][0]
    assert charge["payment_method_details"]["us_bank_account"]["last4"] == "6789"
    await pay_with(stripe, customer, "pm_usBankAccount_insufficientFunds")
    change["items[0][quantity]"] = 3
    assert (await stripe.make(path, **change))["status"] == "past_due"


def _parts(invoice: dict[str, Any]) -> list[int]:
    lines = invoice["lines"]["data"]
    return [line["amount"] for line in lines if line["parent"]["subscription_item_details"]["proration"]]


def _taken(stripe: Stripe) -> int:
    return sum(charge["amount"] for charge in ledger(stripe.simulator)["charges"])


async def upgrade(stripe: Stripe, made: dict[str, Any], price: str, **more: Any) -> dict[str, Any]:
    item = {"items[0][id]": made["items"]["data"][0]["id"], "items[0][price]": price}
    waits = {"payment_behavior": "pending_if_incomplete", "proration_behavior": "always_invoice"}
    return await stripe.make(f"subscriptions/{made['id']}", **item, **waits, **more)


async def pay_with(stripe: Stripe, customer: str, card: str) -> None:
    method = await stripe.make(f"payment_methods/{card}/attach", customer=customer)
    await stripe.make(f"customers/{customer}", **{"invoice_settings[default_payment_method]": method["id"]})


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


async def shown(stripe: Stripe, made: dict[str, Any]) -> tuple[str, int, bool]:
    found = (await stripe.call("GET", f"subscriptions/{made['id']}")).body
    price = found["items"]["data"][0]["price"]
    return found["status"], price["unit_amount"], found["pending_update"] is not None


async def test_a_declined_change_waits_and_what_was_ordered_stays(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await pay_with(stripe, made["customer"], "pm_card_chargeCustomerFail")
    changed = await upgrade(stripe, made, await stripe.price(5900))
    assert changed["pending_update"]["subscription_items"][0]["price"]["unit_amount"] == 5900
    assert await shown(stripe, made) == ("active", 2900, True)
    await stripe.make(f"invoices/{changed['latest_invoice']}/pay", payment_method="pm_card_visa")
    assert await shown(stripe, made) == ("active", 5900, False)
    assert "customer.subscription.pending_update_applied" in await stripe.event_types()


async def test_a_change_that_asks_the_customer_is_in_force_when_they_have_answered(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await pay_with(stripe, made["customer"], "pm_card_authenticationRequired")
    changed = await upgrade(
        stripe, made, await stripe.price(5900), **{"expand[]": "latest_invoice.confirmation_secret"}
    )
    secret = changed["latest_invoice"]["confirmation_secret"]["client_secret"]
    assert await shown(stripe, made) == ("active", 2900, True)
    intent = secret.partition("_secret_")[0]
    await stripe.control("POST", f"/payment_intents/{intent}/authenticate", {"succeeds": True})
    assert await shown(stripe, made) == ("active", 5900, False)


async def test_a_change_that_is_not_paid_in_time_is_dropped_with_its_invoice(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await pay_with(stripe, made["customer"], "pm_card_chargeCustomerFail")
    changed = await upgrade(stripe, made, await stripe.price(5900))
    stripe.advance(hours=24)
    assert await shown(stripe, made) == ("active", 2900, False)
    invoice = (await stripe.call("GET", f"invoices/{changed['latest_invoice']}")).body
    assert invoice["status"] == "void"
    assert "customer.subscription.pending_update_expired" in await stripe.event_types()


async def test_another_change_and_a_cancellation_drop_the_one_that_waits(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await pay_with(stripe, made["customer"], "pm_card_chargeCustomerFail")
    first = await upgrade(stripe, made, await stripe.price(5900))
    second = await upgrade(stripe, made, await stripe.price(7900))
    await stripe.call("DELETE", f"subscriptions/{made['id']}")
    for waited in (first, second):
        assert (await stripe.call("GET", f"invoices/{waited['latest_invoice']}")).body["status"] == "void"
    assert await shown(stripe, made) == ("canceled", 2900, False)


async def test_a_trial_whose_end_is_not_paid_goes_on_and_the_change_waits_no_longer_than_it(stripe: Stripe) -> None:
    made = await stripe.subscription(trial_period_days=14)
    await pay_with(stripe, made["customer"], "pm_card_chargeCustomerFail")
    stripe.advance(days=13.5)
    changed = await upgrade(stripe, made, await stripe.price(5900), trial_end="now")
    assert changed["pending_update"]["expires_at"] == made["trial_end"]
    assert await shown(stripe, made) == ("trialing", 2900, True)
    await stripe.make(f"invoices/{changed['latest_invoice']}/pay", payment_method="pm_card_visa")
    assert await shown(stripe, made) == ("active", 5900, False)
    after = (await stripe.call("GET", f"subscriptions/{made['id']}")).body
    assert after["trial_end"] == after["items"]["data"][0]["current_period_start"] < made["trial_end"]
    assert _taken(stripe) == 5900


async def test_a_trial_is_given_for_two_years_at_most_and_its_end_is_told_again(stripe: Stripe) -> None:
    made = await stripe.subscription(trial_period_days=2)
    stripe.advance(seconds=1)
    for wanted in (made["trial_end"] + 731 * 86400, made["created"] - 1):
        reply = await stripe.call("POST", f"subscriptions/{made['id']}", trial_end=wanted)
        assert (reply.status, reply.error["param"]) == (400, "trial_end")
    await stripe.make(f"subscriptions/{made['id']}", trial_end=made["trial_end"] + 10 * 86400)
    stripe.advance(days=9.5)
    assert (await stripe.event_types()).count("customer.subscription.trial_will_end") == 2
    assert (await shown(stripe, made))[0] == "trialing"
    stripe.advance(days=3)
    assert ((await shown(stripe, made))[0], _taken(stripe)) == ("active", 2900)


async def test_a_trial_given_in_a_paid_period_gives_back_the_rest_of_it(stripe: Stripe) -> None:
    made = await stripe.subscription()
    (held,) = made["items"]["data"]
    stripe.advance(seconds=(held["current_period_end"] - held["current_period_start"]) / 2)
    options = {"trial_end": held["current_period_end"] + 86400, "proration_behavior": "always_invoice"}
    changed = await stripe.make(f"subscriptions/{made['id']}", **options)
    invoice = (await stripe.call("GET", f"invoices/{changed['latest_invoice']}")).body
    assert (changed["status"], invoice["total"]) == ("trialing", -1450)


async def test_what_cannot_wait_is_refused(stripe: Stripe) -> None:
    made = await stripe.subscription()
    waits = {"payment_behavior": "pending_if_incomplete"}
    reply = await stripe.call("POST", f"subscriptions/{made['id']}", description="other", **waits)
    assert (reply.status, reply.error["param"]) == (400, "description")
