"""Every operation of the simulator, driven by the official SDK: the results are the SDK's types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe
from tests.contract.simulator.recording import running, soon

if TYPE_CHECKING:
    from tests.contract.simulator.recording import Recorder, Running

EXPAND_SUBSCRIPTION = ["latest_invoice.confirmation_secret", "latest_invoice.payments", "pending_setup_intent"]


async def drive() -> Recorder:
    """Do everything once, and return what was recorded."""
    async with running() as run:
        v1 = run.v1
        await _account(v1)
        await _catalog(v1)
        customer = await _customer(v1)
        await _payment_intents(run, customer)
        await _setup_intents(v1, customer)
        await _refunds_and_disputes(run, customer)
        await _endpoints(v1)
        await _subscriptions(run, customer)
        for part in (_items, _invoices, _trials, _checkout):
            await part(run, customer)
        await _customer_end(v1, customer)
        await _events(v1)
        return run.recorder


async def _pass_days(run: Running, days: int) -> None:
    """Read the events that are then too old to be listed, and move the clock."""
    await _events(run.v1)
    run.advance(days=days)


def _is(value: Any, kind: type) -> Any:
    assert type(value) is kind, f"{value!r} is not a {kind.__name__}"
    return value


def _page(value: Any, kind: type) -> list[Any]:
    assert type(value) is stripe.ListObject
    for item in value.data:
        _is(item, kind)
    return list(value.data)


async def _account(v1: Any) -> None:
    assert _is(await v1.accounts.retrieve_current_async(), stripe.Account).id == "acct_simulator"
    assert _is(await v1.balance.retrieve_async(), stripe.Balance).available[0].currency == "usd"


async def _catalog(v1: Any) -> None:
    product = _is(await v1.products.create_async(params={"name": "Pro", "metadata": {"tier": "2"}}), stripe.Product)
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
    assert _is(price, stripe.Price).recurring.interval == "month"
    _is(await v1.products.retrieve_async(product.id), stripe.Product)
    updated = await v1.products.update_async(product.id, params={"description": "For teams", "default_price": price.id})
    assert updated.default_price == price.id
    assert _page(await v1.products.list_async(params={"active": True, "ids": [product.id]}), stripe.Product)
    _is(await v1.prices.retrieve_async(price.id, params={"expand": ["product"]}), stripe.Price)
    assert (await v1.prices.update_async(price.id, params={"nickname": "monthly"})).nickname == "monthly"
    assert len(_page(await v1.prices.list_async(params={"lookup_keys": ["pro_monthly"]}), stripe.Price)) == 1
    spare = await v1.products.create_async(params={"name": "Spare"})
    assert (await v1.products.delete_async(spare.id)).deleted
    coupon = _is(
        await v1.coupons.create_async(params={"percent_off": 25, "duration": "once", "id": "QUARTER"}), stripe.Coupon
    )
    await v1.coupons.create_async(params={"amount_off": 500, "currency": "usd", "duration": "forever", "id": "FIVE"})
    assert (await v1.coupons.retrieve_async(coupon.id)).percent_off == 25
    await v1.coupons.update_async(coupon.id, params={"name": "A quarter"})
    assert len(_page(await v1.coupons.list_async(), stripe.Coupon)) == 2
    spare = await v1.coupons.create_async(params={"percent_off": 1, "duration": "repeating", "duration_in_months": 3})
    assert (await v1.coupons.delete_async(spare.id)).deleted


async def _customer(v1: Any) -> str:
    created = await v1.customers.create_async(
        params={
            "email": "ada@example.com",
            "name": "Ada",
            "metadata": {"ours": "1"},
            "address": {"line1": "1 Main St", "country": "US"},
            "shipping": {"name": "Ada", "address": {"line1": "1 Main St"}},
        }
    )
    customer = str(_is(created, stripe.Customer).id)
    method = await v1.payment_methods.create_async(
        params={"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"email": "ada@example.com"}}
    )
    _is(await v1.payment_methods.attach_async(method.id, params={"customer": customer}), stripe.PaymentMethod)
    await v1.payment_methods.update_async(method.id, params={"metadata": {"a": "b"}, "card": {"exp_year": 2035}})
    assert (await v1.payment_methods.retrieve_async(method.id)).card.exp_year == 2035
    assert _page(await v1.payment_methods.list_async(params={"customer": customer}), stripe.PaymentMethod)
    assert _page(await v1.customers.payment_methods.list_async(customer), stripe.PaymentMethod)
    updated = await v1.customers.update_async(
        customer, params={"invoice_settings": {"default_payment_method": method.id}, "phone": "+1555"}
    )
    assert updated.invoice_settings.default_payment_method == method.id
    _is(await v1.customers.retrieve_async(customer, params={"expand": ["subscriptions"]}), stripe.Customer)
    assert _page(await v1.customers.list_async(params={"email": "ada@example.com"}), stripe.Customer)
    other = await v1.payment_methods.attach_async("pm_card_mastercard", params={"customer": customer})
    assert (await v1.payment_methods.detach_async(other.id)).customer is None
    return customer


async def _payment_intents(run: Running, customer: str) -> None:
    intents = run.v1.payment_intents
    terms: dict[str, Any] = {"amount": 1500, "currency": "usd", "customer": customer}
    paid = _is(
        await intents.create_async(params={**terms, "payment_method": "pm_card_visa", "confirm": True}),
        stripe.PaymentIntent,
    )
    assert paid.status == "succeeded"
    held = await intents.create_async(params={**terms, "capture_method": "manual"})
    held = await intents.update_async(held.id, params={"description": "held"})
    held = await intents.confirm_async(held.id, params={"payment_method": "pm_card_visa"})
    assert held.status == "requires_capture"
    assert (await intents.capture_async(held.id, params={"amount_to_capture": 1000})).amount_received == 1000
    asking = await intents.create_async(
        params={**terms, "payment_method": "pm_card_authenticationRequired", "confirm": True}
    )
    assert asking.status == "requires_action"
    assert asking.next_action is not None
    assert (await intents.cancel_async(asking.id)).status == "canceled"
    refused = await intents.create_async(params=terms)
    with pytest.raises(stripe.CardError, match="declined"):
        await intents.confirm_async(refused.id, params={"payment_method": "pm_card_chargeCustomerFail"})
    refused = await intents.retrieve_async(refused.id, params={"expand": ["latest_charge"]})
    assert _is(refused.latest_charge, stripe.Charge).status == "failed"
    assert _page(await intents.list_async(params={"customer": customer}), stripe.PaymentIntent)
    charges = run.v1.charges
    found = _page(await charges.list_async(params={"payment_intent": paid.id}), stripe.Charge)
    charge = await charges.retrieve_async(found[0].id, params={"expand": ["balance_transaction", "refunds"]})
    assert _is(charge.balance_transaction, stripe.BalanceTransaction).net < 1500
    assert (await charges.update_async(charge.id, params={"description": "first"})).description == "first"
    transactions = run.v1.balance_transactions
    assert _page(await transactions.list_async(params={"type": "charge"}), stripe.BalanceTransaction)
    _is(await transactions.retrieve_async(charge.balance_transaction.id), stripe.BalanceTransaction)


async def _setup_intents(v1: Any, customer: str) -> None:
    intents = v1.setup_intents
    setup = _is(await intents.create_async(params={"customer": customer}), stripe.SetupIntent)
    setup = await intents.update_async(setup.id, params={"description": "for later"})
    assert (await intents.confirm_async(setup.id, params={"payment_method": "pm_card_visa"})).status == "succeeded"
    asking = await intents.create_async(params={"payment_method": "pm_card_authenticationRequired", "confirm": True})
    assert (await intents.retrieve_async(asking.id)).status == "requires_action"
    assert (await intents.cancel_async(asking.id)).status == "canceled"
    assert _page(await intents.list_async(params={"customer": customer}), stripe.SetupIntent)


async def _refunds_and_disputes(run: Running, customer: str) -> None:
    v1 = run.v1
    terms: dict[str, Any] = {"amount": 2000, "currency": "usd", "customer": customer, "confirm": True}
    paid = await v1.payment_intents.create_async(params={**terms, "payment_method": "pm_card_visa"})
    part = _is(await v1.refunds.create_async(params={"payment_intent": paid.id, "amount": 500}), stripe.Refund)
    assert part.status == "succeeded"
    await v1.refunds.create_async(params={"payment_intent": paid.id, "reason": "requested_by_customer"})
    await v1.refunds.update_async(part.id, params={"metadata": {"ticket": "7"}})
    assert (await v1.refunds.retrieve_async(part.id)).metadata["ticket"] == "7"
    assert len(_page(await v1.refunds.list_async(params={"payment_intent": paid.id}), stripe.Refund)) == 2
    failing = await v1.payment_intents.create_async(params={**terms, "payment_method": "pm_card_refundFail"})
    assert (await v1.refunds.create_async(params={"payment_intent": failing.id})).status == "failed"
    await v1.payment_intents.create_async(params={**terms, "payment_method": "pm_card_createDispute"})
    dispute = _page(await v1.disputes.list_async(), stripe.Dispute)[0]
    dispute = await v1.disputes.update_async(
        dispute.id, params={"evidence": {"product_description": "A plan"}, "submit": True}
    )
    assert dispute.status == "under_review"
    _is(await v1.disputes.retrieve_async(dispute.id), stripe.Dispute)
    assert (await v1.disputes.close_async(dispute.id)).status == "lost"


async def _endpoints(v1: Any) -> None:
    endpoints = v1.webhook_endpoints
    made = await endpoints.create_async(
        params={
            "url": "http://127.0.0.1:9/hook",
            "enabled_events": ["invoice.paid"],
            "api_version": "2026-10-28.endive",
            "metadata": {"owner": "tests"},
        }
    )
    assert _is(made, stripe.WebhookEndpoint).secret.startswith("whsec_")
    assert (await endpoints.update_async(made.id, params={"disabled": True})).status == "disabled"
    _is(await endpoints.retrieve_async(made.id), stripe.WebhookEndpoint)
    assert _page(await endpoints.list_async(), stripe.WebhookEndpoint)
    assert (await endpoints.delete_async(made.id)).deleted


async def _price(v1: Any, *, amount: int, interval: str = "month") -> str:
    params = {
        "product_data": {"name": f"Plan {amount}"},
        "unit_amount": amount,
        "currency": "usd",
        "recurring": {"interval": interval},
    }
    return str((await v1.prices.create_async(params=params)).id)


async def _subscriptions(run: Running, customer: str) -> None:
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
    subscription = _is(made, stripe.Subscription)
    assert subscription.status == "active"
    invoice = _is(subscription.latest_invoice, stripe.Invoice)
    assert (invoice.subtotal, invoice.amount_paid) == (1800, 1350)
    assert _is(invoice.payments.data[0], stripe.InvoicePayment).status == "paid"
    item = _is(subscription["items"].data[0], stripe.SubscriptionItem)
    preview = await v1.invoices.create_preview_async(
        params={
            "subscription": subscription.id,
            "subscription_details": {
                "items": [{"id": item.id, "price": large}],
                "proration_behavior": "always_invoice",
            },
        }
    )
    assert _is(preview, stripe.Invoice).total > 0
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
    assert _is(changed.discounts[0], stripe.Discount).source.coupon == "FIVE"
    await v1.subscriptions.update_async(
        subscription.id, params={"items": [{"id": item.id, "price": yearly}], "description": "yearly"}
    )
    pause = {"behavior": "keep_as_draft", "resumes_at": soon(86400)}
    paused = await v1.subscriptions.update_async(subscription.id, params={"pause_collection": pause})
    assert paused.pause_collection is not None
    ending = await v1.subscriptions.update_async(subscription.id, params={"cancel_at_period_end": True})
    assert ending.cancel_at_period_end
    await v1.subscriptions.update_async(subscription.id, params={"cancel_at_period_end": False})
    _is(await v1.subscriptions.retrieve_async(subscription.id), stripe.Subscription)
    assert _page(await v1.subscriptions.list_async(params={"customer": customer}), stripe.Subscription)
    ended = await v1.subscriptions.cancel_async(
        subscription.id, params={"prorate": True, "invoice_now": True, "cancellation_details": {"comment": "bye"}}
    )
    assert ended.status == "canceled"
    assert _page(await v1.subscriptions.list_async(params={"status": "ended"}), stripe.Subscription)


async def _items(run: Running, customer: str) -> None:
    v1 = run.v1
    prices = [await _price(v1, amount=amount) for amount in (100, 200)]
    items = [{"price": price} for price in prices]
    subscription = await v1.subscriptions.create_async(params={"customer": customer, "items": items})
    found = _page(await v1.subscription_items.list_async({"subscription": subscription.id}), stripe.SubscriptionItem)
    updated = await v1.subscription_items.update_async(found[0].id, params={"quantity": 3})
    assert _is(updated, stripe.SubscriptionItem).quantity == 3
    _is(await v1.subscription_items.retrieve_async(found[0].id), stripe.SubscriptionItem)
    assert (await v1.subscription_items.delete_async(found[1].id)).deleted
    await _pass_days(run, 32)
    renewed = await v1.subscriptions.retrieve_async(subscription.id, params={"expand": ["latest_invoice"]})
    assert renewed.latest_invoice.billing_reason == "subscription_cycle"
    assert renewed.latest_invoice.status == "paid"


async def _open_invoice(v1: Any, customer: str) -> str:
    price = await _price(v1, amount=5000)
    params = {"customer": customer, "items": [{"price": price}], "payment_behavior": "default_incomplete"}
    return str((await v1.subscriptions.create_async(params=params)).latest_invoice)


async def _invoices(run: Running, _: str) -> None:
    v1, invoices = run.v1, run.v1.invoices
    customer = (await v1.customers.create_async(params={"payment_method": "pm_card_visa"})).id
    first = _is(await invoices.retrieve_async(await _open_invoice(v1, customer)), stripe.Invoice)
    assert first.status == "open"
    assert _page(await invoices.line_items.list_async(first.id), stripe.InvoiceLineItem)
    await invoices.update_async(first.id, params={"description": "first", "metadata": {"a": "b"}})
    assert (await invoices.pay_async(first.id, params={"payment_method": "pm_card_visa"})).status == "paid"
    payments = _page(await v1.invoice_payments.list_async(params={"invoice": first.id}), stripe.InvoicePayment)
    _is(await v1.invoice_payments.retrieve_async(payments[0].id), stripe.InvoicePayment)
    assert (await invoices.void_invoice_async(await _open_invoice(v1, customer))).status == "void"
    bad = await invoices.mark_uncollectible_async(await _open_invoice(v1, customer))
    assert bad.status == "uncollectible"
    assert _page(await invoices.list_async(params={"customer": customer, "status": "paid"}), stripe.Invoice)
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
    await _pass_days(run, 32)
    draft = await v1.subscriptions.retrieve_async(sent.id, params={"expand": ["latest_invoice"]})
    assert draft.latest_invoice.status == "draft"
    assert (await invoices.finalize_invoice_async(draft.latest_invoice.id)).status == "open"


async def _trials(run: Running, _: str) -> None:
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
    _is(made.pending_setup_intent, stripe.SetupIntent)
    await _pass_days(run, 8)
    paused = await v1.subscriptions.retrieve_async(made.id)
    assert paused.status == "paused"
    assert paused.status_details.paused.subscription.type == "trial_end_without_payment_method"
    method = await v1.payment_methods.attach_async("pm_card_chargeCustomerFail", params={"customer": customer})
    await v1.subscriptions.update_async(made.id, params={"default_payment_method": method.id})
    resumed = await v1.subscriptions.resume_async(made.id, params={"billing_cycle_anchor": "now"})
    assert resumed.status == "past_due"
    for days in (4, 6, 8):
        await _pass_days(run, days)
    assert (await v1.subscriptions.retrieve_async(made.id)).status == "canceled"


async def _checkout(run: Running, _: str) -> None:
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
    session = _is(made, stripe.checkout.Session)
    run.simulator.routes.checkout.complete(run.simulator.state.get("checkout.session", session.id), "pm_card_visa")
    done = await sessions.retrieve_async(session.id, params={"expand": ["subscription", "customer", "line_items"]})
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert _is(done.subscription, stripe.Subscription).metadata["ours"] == "3"
    assert _page(await sessions.line_items.list_async(session.id), stripe.LineItem)
    other = await sessions.create_async(
        params={"mode": "setup", "currency": "usd", "success_url": "https://example.com"}
    )
    assert (await sessions.expire_async(other.id)).status == "expired"
    assert _page(await sessions.list_async(), stripe.checkout.Session)


async def _customer_end(v1: Any, customer: str) -> None:
    assert (await v1.customers.delete_async(customer)).deleted
    assert (await v1.customers.retrieve_async(customer)).deleted


async def _events(v1: Any) -> None:
    after = None
    while True:
        params: dict[str, Any] = {"limit": 100} | ({"starting_after": after} if after else {})
        found = await v1.events.list_async(params=params)
        for event in _page(found, stripe.Event):
            after = event.id
        if not found.has_more:
            break
    _is(await v1.events.retrieve_async(after), stripe.Event)
    params = {"types": ["invoice.paid"], "delivery_success": True, "created": {"gte": soon(-3600)}}
    assert _page(await v1.events.list_async(params=params), stripe.Event)
