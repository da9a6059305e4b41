"""The life of subscriptions under a clock that the test moves."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.simulator.calling import Stripe

from stripe_simulator.ledger import ledger

SAVE = {"payment_settings[save_default_payment_method]": "on_subscription"}


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


async def status(stripe: Stripe, subscription: str) -> str:
    return str((await stripe.call("GET", f"subscriptions/{subscription}")).body["status"])


def taken(stripe: Stripe) -> list[int]:
    return [charge["amount"] for charge in ledger(stripe.simulator)["charges"]]


async def test_a_new_one_is_charged_and_active(stripe: Stripe) -> None:
    made = await stripe.subscription()
    assert made["status"] == "active"
    assert taken(stripe) == [2900]
    assert (await stripe.event_types())[-9:] == [
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]


async def test_periods_renew_and_are_charged(stripe: Stripe) -> None:
    made = await stripe.subscription()
    stripe.advance(days=95)
    assert len(taken(stripe)) == 4
    assert await status(stripe, made["id"]) == "active"


async def test_an_incomplete_one_expires_after_23_hours(stripe: Stripe) -> None:
    made = await stripe.subscription("pm_card_chargeCustomerFail")
    stripe.advance(hours=22.9)
    assert await status(stripe, made["id"]) == "incomplete"
    stripe.advance(hours=0.2)
    assert await status(stripe, made["id"]) == "incomplete_expired"
    invoice = (await stripe.call("GET", f"invoices/{made['latest_invoice']}")).body
    assert invoice["status"] == "void"
    assert taken(stripe) == []


async def test_authentication_completes_it_and_saves_the_card(stripe: Stripe) -> None:
    made = await stripe.subscription(
        "pm_card_authenticationRequired", **SAVE, **{"expand[]": "latest_invoice.payments"}
    )
    assert made["status"] == "incomplete"
    intent = made["latest_invoice"]["payments"]["data"][0]["payment"]["payment_intent"]
    reply = await stripe.control("POST", f"/payment_intents/{intent}/authenticate")
    assert reply.body["status"] == "succeeded"
    after = (await stripe.call("GET", f"subscriptions/{made['id']}")).body
    assert (after["status"], after["default_payment_method"]) == ("active", reply.body["payment_method"])


async def test_a_failed_authentication_leaves_it_incomplete(stripe: Stripe) -> None:
    made = await stripe.subscription("pm_card_authenticationRequired", **{"expand[]": "latest_invoice.payments"})
    intent = made["latest_invoice"]["payments"]["data"][0]["payment"]["payment_intent"]
    reply = await stripe.control("POST", f"/payment_intents/{intent}/authenticate", {"succeeds": False})
    assert reply.body["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert await status(stripe, made["id"]) == "incomplete"


async def test_a_renewal_that_is_declined_is_tried_again_and_then_cancelled(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await stripe.make("customers/" + made["customer"], name="Ada")
    card = (await stripe.make("payment_methods/pm_card_chargeCustomerFail/attach", customer=made["customer"]))["id"]
    await stripe.make(f"subscriptions/{made['id']}", default_payment_method=card)
    stripe.advance(days=32)
    assert await status(stripe, made["id"]) == "past_due"
    for days in (3.1, 5.1):
        stripe.advance(days=days)
        assert await status(stripe, made["id"]) == "past_due"
    stripe.advance(days=7.1)
    assert await status(stripe, made["id"]) == "canceled"
    assert taken(stripe) == [2900]


async def test_a_past_due_one_recovers_with_another_card(stripe: Stripe) -> None:
    made = await stripe.subscription()
    card = (await stripe.make("payment_methods/pm_card_chargeCustomerFail/attach", customer=made["customer"]))["id"]
    await stripe.make(f"subscriptions/{made['id']}", default_payment_method=card)
    stripe.advance(days=32)
    invoice = (await stripe.call("GET", f"subscriptions/{made['id']}")).body["latest_invoice"]
    await stripe.make(f"invoices/{invoice}/pay", payment_method="pm_card_visa")
    assert await status(stripe, made["id"]) == "active"
    assert (await stripe.call("POST", f"invoices/{invoice}/pay")).error["code"] == "invoice_already_paid"


async def test_error_if_incomplete_makes_no_subscription(stripe: Stripe) -> None:
    customer, price = await stripe.customer("pm_card_chargeCustomerFail"), await stripe.price()
    params = {"customer": customer, "items[0][price]": price, "payment_behavior": "error_if_incomplete"}
    assert (await stripe.call("POST", "subscriptions", **params)).status == 402
    assert stripe.simulator.state.count("subscription") == 0


async def test_a_customer_without_a_card_is_refused_unless_it_waits(stripe: Stripe) -> None:
    customer, price = (await stripe.make("customers"))["id"], await stripe.price()
    params = {"customer": customer, "items[0][price]": price}
    assert (await stripe.call("POST", "subscriptions", **params)).error["code"] == "resource_missing"
    made = await stripe.make("subscriptions", **params, payment_behavior="default_incomplete")
    assert made["status"] == "incomplete"


@pytest.mark.parametrize(
    ("method", "status", "events"),
    [
        ("no_such", 400, []),
        (
            "pm_card_chargeCustomerFail",
            402,
            ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"],
        ),
    ],
)
async def test_only_a_card_that_declines_counts_as_an_attempt(
    stripe: Stripe, method: str, status: int, events: list[str]
) -> None:
    await stripe.subscription("pm_card_authenticationRequired")
    intent = stripe.simulator.state.all("payment_intent")[0]["id"]
    before = len(await stripe.event_types())
    assert (await stripe.call("POST", f"payment_intents/{intent}/confirm", payment_method=method)).status == status
    assert (await stripe.event_types())[before:] == events


async def test_a_trial_is_free_tells_its_end_and_is_charged_then(stripe: Stripe) -> None:
    made = await stripe.subscription(trial_period_days=7)
    assert (made["status"], taken(stripe)) == ("trialing", [])
    stripe.advance(days=4.1)
    assert (await stripe.event_types())[-1] == "customer.subscription.trial_will_end"
    stripe.advance(days=3)
    assert (await status(stripe, made["id"]), taken(stripe)) == ("active", [2900])


async def test_a_trial_without_a_card_asks_for_one(stripe: Stripe) -> None:
    customer, price = (await stripe.make("customers"))["id"], await stripe.price()
    made = await stripe.make("subscriptions", customer=customer, trial_period_days=7, **{"items[0][price]": price})
    setup = made["pending_setup_intent"]
    done = await stripe.make(f"setup_intents/{setup}/confirm", payment_method="pm_card_visa")
    after = (await stripe.call("GET", f"subscriptions/{made['id']}")).body
    assert (after["pending_setup_intent"], after["default_payment_method"]) == (None, done["payment_method"])


async def test_one_that_ends_with_its_period_is_not_charged_again(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await stripe.make(f"subscriptions/{made['id']}", cancel_at_period_end="true")
    stripe.advance(days=32)
    assert (await status(stripe, made["id"]), taken(stripe)) == ("canceled", [2900])
    assert (await stripe.call("POST", f"subscriptions/{made['id']}", description="x")).status == 404


async def test_a_change_of_price_is_prorated_to_the_second(stripe: Stripe) -> None:
    made = await stripe.subscription()
    item, larger = made["items"]["data"][0], await stripe.price(5900)
    middle = (item["current_period_start"] + item["current_period_end"]) // 2
    params = {
        "items[0][id]": item["id"],
        "items[0][price]": larger,
        "proration_behavior": "always_invoice",
        "proration_date": middle,
    }
    await stripe.make(f"subscriptions/{made['id']}", **params)
    assert taken(stripe) == [2900, 1500]


async def test_proration_waits_for_the_next_invoice_unless_told_otherwise(stripe: Stripe) -> None:
    made = await stripe.subscription()
    item = made["items"]["data"][0]
    params = {"items[0][id]": item["id"], "items[0][quantity]": 2, "proration_date": item["current_period_start"]}
    await stripe.make(f"subscriptions/{made['id']}", **params)
    assert taken(stripe) == [2900]
    stripe.advance(days=32)
    assert taken(stripe) == [2900, 2900 + 2 * 2900]


async def test_another_interval_begins_a_new_period_with_credit(stripe: Stripe) -> None:
    made = await stripe.subscription()
    item, yearly = made["items"]["data"][0], await stripe.price(29000, interval="year")
    moment = item["current_period_start"]
    params = {"items[0][id]": item["id"], "items[0][price]": yearly, "proration_date": moment}
    await stripe.make(f"subscriptions/{made['id']}", **params)
    assert taken(stripe) == [2900, 29000 - 2900]


async def test_paused_collection_voids_the_invoices(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await stripe.make(f"subscriptions/{made['id']}", **{"pause_collection[behavior]": "void"})
    stripe.advance(days=32)
    invoices = (await stripe.call("GET", "invoices", subscription=made["id"])).body["data"]
    assert [invoice["status"] for invoice in invoices] == ["void", "paid"]
    assert taken(stripe) == [2900]


async def test_a_coupon_of_once_lowers_the_first_invoice_only(stripe: Stripe) -> None:
    await stripe.make("coupons", id="HALF", percent_off=50, duration="once", max_redemptions=1)
    made = await stripe.subscription(**{"discounts[0][coupon]": "HALF"})
    stripe.advance(days=32)
    assert taken(stripe) == [1450, 2900]
    params = {"customer": made["customer"], "items[0][price]": made["items"]["data"][0]["price"]["id"]}
    reply = await stripe.call("POST", "subscriptions", **params, **{"discounts[0][coupon]": "HALF"})
    assert reply.error["code"] == "coupon_expired"


async def test_deleting_a_customer_ends_its_subscriptions(stripe: Stripe) -> None:
    made = await stripe.subscription()
    assert (await stripe.call("DELETE", f"customers/{made['customer']}")).body["deleted"] is True
    assert await status(stripe, made["id"]) == "canceled"
    assert (await stripe.call("GET", f"customers/{made['customer']}")).body["deleted"] is True
    assert (await stripe.call("POST", f"customers/{made['customer']}", name="x")).status == 404


async def test_a_checkout_session_expires_by_the_clock_or_is_completed_once(stripe: Stripe) -> None:
    price = await stripe.price()
    params = {"mode": "subscription", "success_url": "https://example.com", "line_items[0][price]": price}
    late, paid = [await stripe.make("checkout/sessions", **params) for _ in range(2)]
    done = await stripe.control("POST", f"/checkout/sessions/{paid['id']}/complete")
    assert (done.body["status"], taken(stripe)) == ("complete", [2900])
    assert (await stripe.control("POST", f"/checkout/sessions/{paid['id']}/complete")).status == 400
    stripe.advance(hours=25)
    assert (await stripe.call("GET", f"checkout/sessions/{late['id']}")).body["status"] == "expired"


async def test_money_is_counted_with_refunds_and_disputes(stripe: Stripe) -> None:
    made = await stripe.subscription()
    charge = ledger(stripe.simulator)["charges"][0]["id"]
    await stripe.make("refunds", charge=charge, amount=900)
    assert (await stripe.call("POST", "refunds", charge=charge, amount=2001)).status == 400
    counted = (await stripe.control("GET", "/ledger")).body
    assert counted["total_by_customer"] == {made["customer"]: 2900}
    assert counted["net_by_customer"] == {made["customer"]: 2000}
    await stripe.control("POST", f"/charges/{charge}/dispute", {"reason": "duplicate"})
    assert (await stripe.call("POST", "refunds", charge=charge)).error["code"] == "charge_disputed"


async def test_an_incomplete_one_takes_metadata_and_a_payment_method_only(stripe: Stripe) -> None:
    made = await stripe.subscription(payment_behavior="default_incomplete")
    path = f"subscriptions/{made['id']}"
    refused = await stripe.call("POST", path, cancel_at_period_end="true")
    assert (refused.status, refused.error["param"]) == (400, "cancel_at_period_end")
    assert (await stripe.call("POST", path, **{"metadata[a]": "b"})).body["metadata"] == {"a": "b"}
    assert (await stripe.call("DELETE", path)).body["status"] == "canceled"


async def test_a_customer_has_running_subscriptions_of_one_currency(stripe: Stripe) -> None:
    customer, dollars = await stripe.customer(), await stripe.price()
    euro = {"product_data[name]": "Euro", "unit_amount": 900, "currency": "eur", "recurring[interval]": "month"}
    euros = (await stripe.make("prices", **euro))["id"]
    first = await stripe.make("subscriptions", customer=customer, **{"items[0][price]": dollars})
    in_euros = {"customer": customer, "items[0][price]": euros}
    refused = await stripe.call("POST", "subscriptions", **in_euros)
    assert (refused.status, "combine currencies" in refused.error["message"]) == (400, True)
    item = {"items[0][id]": first["items"]["data"][0]["id"], "items[0][price]": euros}
    assert (await stripe.call("POST", f"subscriptions/{first['id']}", **item)).status == 400
    await stripe.make("subscriptions", customer=customer, **{"items[0][price]": dollars})
    for each in stripe.simulator.state.all("subscription"):
        await stripe.call("DELETE", f"subscriptions/{each['id']}")
    assert (await stripe.make("subscriptions", **in_euros))["currency"] == "eur"


async def test_a_finalized_invoice_has_a_page_and_a_pdf(stripe: Stripe) -> None:
    made = await stripe.subscription()
    invoice = (await stripe.call("GET", f"invoices/{made['latest_invoice']}")).body
    assert all(invoice[name].startswith("https://") for name in ("hosted_invoice_url", "invoice_pdf"))


async def test_a_test_clock_moves_billing_and_nothing_else(stripe: Stripe) -> None:
    made = await stripe.subscription()
    await stripe.control("POST", "/clock/advance", {"seconds": 32 * 86400})
    moved, real = stripe.simulator.state.now, stripe.simulator.state.real_now
    assert len(taken(stripe)) == 2
    renewal = stripe.simulator.state.all("invoice")[0]
    assert renewal["customer"] == made["customer"]
    assert renewal["created"] >= moved - 60
    for kind in ("event", "payment_intent", "charge"):
        assert stripe.simulator.state.all(kind)[0]["created"] <= real
    assert (await stripe.control("POST", "/clock/advance", {"seconds": -1})).status == 400


async def test_events_of_a_subscription_show_the_invoice_that_it_begins(stripe: Stripe) -> None:
    made = await stripe.subscription()
    stripe.advance(days=31)
    shown = [
        event["data"]["object"]["latest_invoice"]
        for event in msgspec.json.decode(msgspec.json.encode(stripe.simulator.state.all("event")))
        if event["type"].startswith("customer.subscription.")
    ]
    assert None not in shown
    assert (shown[-1], len(set(shown))) == (made["latest_invoice"], 2)
