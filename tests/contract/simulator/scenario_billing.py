"""Catalog, subscriptions, invoices, trials, checkout, driven by the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import stripe
from tests.contract.simulator.driving import is_a, page_of, pass_days
from tests.contract.simulator.recording import soon

if TYPE_CHECKING:
    from tests.contract.simulator.recording import Running


EXPAND_SUBSCRIPTION = ["latest_invoice.confirmation_secret", "latest_invoice.payments", "pending_setup_intent"]


async def drive_catalog(v1: Any) -> None:
    product = is_a(await v1.products.create_async(params={"name": "Pro", "metadata": {"tier": "2"}}), stripe.Product)
    assert product.metadata["tier"] == "2"
    price = await v1.prices.create_async(
        params={
            "product": product.id,
            "unit_amount": 2900,
            "currency": "usd",
            "recurring": {"interval": "month"},
            "lookup_key": "pro_monthly",
        }
    )
    assert is_a(price, stripe.Price).recurring.interval == "month"
    is_a(await v1.products.retrieve_async(product.id), stripe.Product)
    updated = await v1.products.update_async(product.id, params={"description": "For teams", "default_price": price.id})
    assert updated.default_price == price.id
    assert page_of(await v1.products.list_async(params={"active": True, "ids": [product.id]}), stripe.Product)
    is_a(await v1.prices.retrieve_async(price.id, params={"expand": ["product"]}), stripe.Price)
    assert (await v1.prices.update_async(price.id, params={"nickname": "monthly"})).nickname == "monthly"
    assert len(page_of(await v1.prices.list_async(params={"lookup_keys": ["pro_monthly"]}), stripe.Price)) == 1
    spare = await v1.products.create_async(params={"name": "Spare"})
    assert (await v1.products.delete_async(spare.id)).deleted
    coupon = is_a(
        await v1.coupons.create_async(params={"percent_off": 25, "duration": "once", "id": "QUARTER"}), stripe.Coupon
    )
    await v1.coupons.create_async(params={"amount_off": 500, "currency": "usd", "duration": "forever", "id": "FIVE"})
    assert (await v1.coupons.retrieve_async(coupon.id)).percent_off == 25
    await v1.coupons.update_async(coupon.id, params={"name": "A quarter"})
    assert len(page_of(await v1.coupons.list_async(), stripe.Coupon)) == 2
    spare = await v1.coupons.create_async(params={"percent_off": 1, "duration": "repeating", "duration_in_months": 3})
    assert (await v1.coupons.delete_async(spare.id)).deleted


async def _price(v1: Any, *, amount: int, interval: str = "month") -> str:
    params = {
        "product_data": {"name": f"Plan {amount}"},
        "unit_amount": amount,
        "currency": "usd",
        "recurring": {"interval": interval},
    }
    return str((await v1.prices.create_async(params=params)).id)


async def drive_subscriptions(run: Running, customer: str) -> None:
    v1 = run.v1
    small, large, yearly = (
        await _price(v1, amount=900),
        await _price(v1, amount=2900),
        await _price(v1, amount=29000, interval="year"),
    )
    made = await v1.subscriptions.create_async(
        params={
            "customer": customer,
            "items": [{"price": small, "quantity": 2}],
            "discounts": [{"coupon": "QUARTER"}],
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "expand": EXPAND_SUBSCRIPTION,
            "metadata": {"ours": "2"},
        }
    )
    subscription = is_a(made, stripe.Subscription)
    assert subscription.status == "active"
    invoice = is_a(subscription.latest_invoice, stripe.Invoice)
    assert (invoice.subtotal, invoice.amount_paid) == (1800, 1350)
    assert is_a(invoice.payments.data[0], stripe.InvoicePayment).status == "paid"
    item = is_a(subscription["items"].data[0], stripe.SubscriptionItem)
    preview = await v1.invoices.create_preview_async(
        params={
            "subscription": subscription.id,
            "subscription_details": {
                "items": [{"id": item.id, "price": large}],
                "proration_behavior": "always_invoice",
            },
        }
    )
    assert is_a(preview, stripe.Invoice).total > 0
    changed = await v1.subscriptions.update_async(
        subscription.id,
        params={
            "items": [{"id": item.id, "price": large, "quantity": 1}],
            "proration_behavior": "always_invoice",
            "discounts": [{"coupon": "FIVE"}],
            "expand": ["discounts"],
        },
    )
    assert changed["items"].data[0].price.id == large
    assert is_a(changed.discounts[0], stripe.Discount).source.coupon == "FIVE"
    await v1.subscriptions.update_async(
        subscription.id, params={"items": [{"id": item.id, "price": yearly}], "description": "yearly"}
    )
    pause = {"behavior": "keep_as_draft", "resumes_at": soon(86400)}
    paused = await v1.subscriptions.update_async(subscription.id, params={"pause_collection": pause})
    assert paused.pause_collection is not None
    ending = await v1.subscriptions.update_async(subscription.id, params={"cancel_at_period_end": True})
    assert ending.cancel_at_period_end
    await v1.subscriptions.update_async(subscription.id, params={"cancel_at_period_end": False})
    is_a(await v1.subscriptions.retrieve_async(subscription.id), stripe.Subscription)
    assert page_of(await v1.subscriptions.list_async(params={"customer": customer}), stripe.Subscription)
    ended = await v1.subscriptions.cancel_async(
        subscription.id, params={"prorate": True, "invoice_now": True, "cancellation_details": {"comment": "bye"}}
    )
    assert ended.status == "canceled"
    assert page_of(await v1.subscriptions.list_async(params={"status": "ended"}), stripe.Subscription)


async def drive_items(run: Running, customer: str) -> None:
    v1 = run.v1
    prices = [await _price(v1, amount=amount) for amount in (100, 200)]
    items = [{"price": price} for price in prices]
    subscription = await v1.subscriptions.create_async(params={"customer": customer, "items": items})
    found = page_of(await v1.subscription_items.list_async({"subscription": subscription.id}), stripe.SubscriptionItem)
    updated = await v1.subscription_items.update_async(found[0].id, params={"quantity": 3})
    assert is_a(updated, stripe.SubscriptionItem).quantity == 3
    is_a(await v1.subscription_items.retrieve_async(found[0].id), stripe.SubscriptionItem)
    assert (await v1.subscription_items.delete_async(found[1].id)).deleted
    await pass_days(run, 32)
    renewed = await v1.subscriptions.retrieve_async(subscription.id, params={"expand": ["latest_invoice"]})
    assert renewed.latest_invoice.billing_reason == "subscription_cycle"
    assert renewed.latest_invoice.status == "paid"


async def _open_invoice(v1: Any, customer: str) -> str:
    price = await _price(v1, amount=5000)
    params = {"customer": customer, "items": [{"price": price}], "payment_behavior": "default_incomplete"}
    return str((await v1.subscriptions.create_async(params=params)).latest_invoice)


async def drive_invoices(run: Running, _: str) -> None:
    v1, invoices = run.v1, run.v1.invoices
    customer = (await v1.customers.create_async(params={"payment_method": "pm_card_visa"})).id
    first = is_a(await invoices.retrieve_async(await _open_invoice(v1, customer)), stripe.Invoice)
    assert first.status == "open"
    assert page_of(await invoices.line_items.list_async(first.id), stripe.InvoiceLineItem)
    await invoices.update_async(first.id, params={"description": "first", "metadata": {"a": "b"}})
    assert (await invoices.pay_async(first.id, params={"payment_method": "pm_card_visa"})).status == "paid"
    payments = page_of(await v1.invoice_payments.list_async(params={"invoice": first.id}), stripe.InvoicePayment)
    is_a(await v1.invoice_payments.retrieve_async(payments[0].id), stripe.InvoicePayment)
    assert (await invoices.void_invoice_async(await _open_invoice(v1, customer))).status == "void"
    bad = await invoices.mark_uncollectible_async(await _open_invoice(v1, customer))
    assert bad.status == "uncollectible"
    assert page_of(await invoices.list_async(params={"customer": customer, "status": "paid"}), stripe.Invoice)
    price = await _price(v1, amount=700)
    sent = await v1.subscriptions.create_async(
        params={
            "customer": customer,
            "items": [{"price": price}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
        }
    )
    await v1.subscriptions.update_async(
        sent.id, params={"pause_collection": {"behavior": "keep_as_draft"}, "description": "later"}
    )
    await pass_days(run, 32)
    draft = await v1.subscriptions.retrieve_async(sent.id, params={"expand": ["latest_invoice"]})
    assert draft.latest_invoice.status == "draft"
    assert (await invoices.finalize_invoice_async(draft.latest_invoice.id)).status == "open"


async def drive_trials(run: Running, _: str) -> None:
    v1 = run.v1
    customer = (await v1.customers.create_async(params={"email": "grace@example.com"})).id
    price = await _price(v1, amount=1000)
    made = await v1.subscriptions.create_async(
        params={
            "customer": customer,
            "items": [{"price": price}],
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
            "expand": EXPAND_SUBSCRIPTION,
        }
    )
    assert made.status == "trialing"
    is_a(made.pending_setup_intent, stripe.SetupIntent)
    await pass_days(run, 8)
    paused = await v1.subscriptions.retrieve_async(made.id)
    assert paused.status == "paused"
    assert paused.status_details.paused.subscription.type == "trial_end_without_payment_method"
    method = await v1.payment_methods.attach_async("pm_card_chargeCustomerFail", params={"customer": customer})
    await v1.subscriptions.update_async(made.id, params={"default_payment_method": method.id})
    resumed = await v1.subscriptions.resume_async(made.id, params={"billing_cycle_anchor": "now"})
    assert resumed.status == "past_due"
    for days in (4, 6, 8):
        await pass_days(run, days)
    assert (await v1.subscriptions.retrieve_async(made.id)).status == "canceled"


async def drive_checkout(run: Running, _: str) -> None:
    v1, sessions = run.v1, run.v1.checkout.sessions
    price = await _price(v1, amount=1200)
    made = await sessions.create_async(
        params={
            "mode": "subscription",
            "success_url": "https://example.com/done",
            "line_items": [{"price": price, "quantity": 1}],
            "customer_email": "new@example.com",
            "subscription_data": {"metadata": {"ours": "3"}},
        }
    )
    session = is_a(made, stripe.checkout.Session)
    run.simulator.routes.checkout.complete(run.simulator.state.get("checkout.session", session.id), "pm_card_visa")
    done = await sessions.retrieve_async(session.id, params={"expand": ["subscription", "customer", "line_items"]})
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert is_a(done.subscription, stripe.Subscription).metadata["ours"] == "3"
    assert page_of(await sessions.line_items.list_async(session.id), stripe.LineItem)
    other = await sessions.create_async(
        params={"mode": "setup", "currency": "usd", "success_url": "https://example.com"}
    )
    assert (await sessions.expire_async(other.id)).status == "expired"
    assert page_of(await sessions.list_async(), stripe.checkout.Session)
