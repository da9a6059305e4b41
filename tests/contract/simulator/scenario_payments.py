"""Customers, payments, refunds, disputes, endpoints, driven by the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe
from tests.contract.simulator.driving import is_a, page_of

if TYPE_CHECKING:
    from tests.contract.simulator.recording import Running


async def drive_account(v1: Any) -> None:
    assert is_a(await v1.accounts.retrieve_current_async(), stripe.Account).id == "acct_simulator"
    assert (await v1.accounts.retrieve_async("acct_simulator")).country == "US"
    assert is_a(await v1.balance.retrieve_async(), stripe.Balance).available[0].currency == "usd"


async def drive_customer(v1: Any) -> str:
    created = await v1.customers.create_async(
        params={
            "email": "ada@example.com",
            "name": "Ada",
            "metadata": {"ours": "1"},
            "address": {"line1": "1 Main St", "country": "US"},
            "shipping": {"name": "Ada", "address": {"line1": "1 Main St"}},
        }
    )
    customer = str(is_a(created, stripe.Customer).id)
    method = await v1.payment_methods.create_async(
        params={"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"email": "ada@example.com"}}
    )
    is_a(await v1.payment_methods.attach_async(method.id, params={"customer": customer}), stripe.PaymentMethod)
    await v1.payment_methods.update_async(method.id, params={"metadata": {"a": "b"}, "card": {"exp_year": 2035}})
    assert (await v1.payment_methods.retrieve_async(method.id)).card.exp_year == 2035
    assert page_of(await v1.payment_methods.list_async(params={"customer": customer}), stripe.PaymentMethod)
    assert page_of(await v1.customers.payment_methods.list_async(customer), stripe.PaymentMethod)
    updated = await v1.customers.update_async(
        customer, params={"invoice_settings": {"default_payment_method": method.id}, "phone": "+1555"}
    )
    assert updated.invoice_settings.default_payment_method == method.id
    is_a(await v1.customers.retrieve_async(customer, params={"expand": ["subscriptions"]}), stripe.Customer)
    assert page_of(await v1.customers.list_async(params={"email": "ada@example.com"}), stripe.Customer)
    other = await v1.payment_methods.attach_async("pm_card_mastercard", params={"customer": customer})
    assert (await v1.payment_methods.detach_async(other.id)).customer is None
    for used in (v1.payment_methods.detach_async(other.id), _attach_again(v1, other.id, customer)):
        with pytest.raises(stripe.InvalidRequestError, match=r"not attached|may not be used again"):
            await used
    params = {"type": "card", "allow_redisplay": "unspecified"}
    assert (
        len(page_of(await v1.customers.payment_methods.list_async(customer, params=params), stripe.PaymentMethod)) == 1
    )
    assert page_of(await v1.payment_methods.list_async(params={"type": "card"}), stripe.PaymentMethod) == []
    return customer


async def _attach_again(v1: Any, method: str, customer: str) -> None:
    await v1.payment_methods.attach_async(method, params={"customer": customer})


async def drive_payment_intents(run: Running, customer: str) -> None:
    intents = run.v1.payment_intents
    terms: dict[str, Any] = {"amount": 1500, "currency": "usd", "customer": customer}
    paid = is_a(
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
    assert is_a(refused.latest_charge, stripe.Charge).status == "failed"
    assert page_of(await intents.list_async(params={"customer": customer}), stripe.PaymentIntent)
    charges = run.v1.charges
    found = page_of(await charges.list_async(params={"payment_intent": paid.id}), stripe.Charge)
    charge = await charges.retrieve_async(found[0].id, params={"expand": ["balance_transaction", "refunds"]})
    assert is_a(charge.balance_transaction, stripe.BalanceTransaction).net < 1500
    assert (await charges.update_async(charge.id, params={"description": "first"})).description == "first"
    transactions = run.v1.balance_transactions
    assert page_of(await transactions.list_async(params={"type": "charge"}), stripe.BalanceTransaction)
    is_a(await transactions.retrieve_async(charge.balance_transaction.id), stripe.BalanceTransaction)


async def drive_setup_intents(v1: Any, customer: str) -> None:
    intents = v1.setup_intents
    setup = is_a(await intents.create_async(params={"customer": customer}), stripe.SetupIntent)
    setup = await intents.update_async(setup.id, params={"description": "for later"})
    assert (await intents.confirm_async(setup.id, params={"payment_method": "pm_card_visa"})).status == "succeeded"
    asking = await intents.create_async(params={"payment_method": "pm_card_authenticationRequired", "confirm": True})
    assert (await intents.retrieve_async(asking.id)).status == "requires_action"
    assert (await intents.cancel_async(asking.id)).status == "canceled"
    assert page_of(await intents.list_async(params={"customer": customer}), stripe.SetupIntent)


async def drive_refunds_and_disputes(run: Running, customer: str) -> None:
    v1 = run.v1
    terms: dict[str, Any] = {"amount": 2000, "currency": "usd", "customer": customer, "confirm": True}
    paid = await v1.payment_intents.create_async(params={**terms, "payment_method": "pm_card_visa"})
    part = is_a(await v1.refunds.create_async(params={"payment_intent": paid.id, "amount": 500}), stripe.Refund)
    assert part.status == "succeeded"
    await v1.refunds.create_async(params={"payment_intent": paid.id, "reason": "requested_by_customer"})
    await v1.refunds.update_async(part.id, params={"metadata": {"ticket": "7"}})
    assert (await v1.refunds.retrieve_async(part.id)).metadata["ticket"] == "7"
    assert len(page_of(await v1.refunds.list_async(params={"payment_intent": paid.id}), stripe.Refund)) == 2
    failing = await v1.payment_intents.create_async(params={**terms, "payment_method": "pm_card_refundFail"})
    assert (await v1.refunds.create_async(params={"payment_intent": failing.id})).status == "failed"
    await v1.payment_intents.create_async(params={**terms, "payment_method": "pm_card_createDispute"})
    dispute = page_of(await v1.disputes.list_async(), stripe.Dispute)[0]
    dispute = await v1.disputes.update_async(
        dispute.id, params={"evidence": {"product_description": "A plan"}, "submit": True}
    )
    assert dispute.status == "under_review"
    is_a(await v1.disputes.retrieve_async(dispute.id), stripe.Dispute)
    assert (await v1.disputes.close_async(dispute.id)).status == "lost"


async def drive_endpoints(v1: Any) -> None:
    endpoints = v1.webhook_endpoints
    made = await endpoints.create_async(
        params={
            "url": "http://127.0.0.1:9/hook",
            "enabled_events": ["invoice.paid"],
            "api_version": "2026-10-28.endive",
            "metadata": {"owner": "tests"},
        }
    )
    assert is_a(made, stripe.WebhookEndpoint).secret.startswith("whsec_")
    assert (await endpoints.update_async(made.id, params={"disabled": True})).status == "disabled"
    is_a(await endpoints.retrieve_async(made.id), stripe.WebhookEndpoint)
    assert page_of(await endpoints.list_async(), stripe.WebhookEndpoint)
    assert (await endpoints.delete_async(made.id)).deleted


async def drive_customer_end(v1: Any, customer: str) -> None:
    assert (await v1.customers.delete_async(customer)).deleted
    assert (await v1.customers.retrieve_async(customer)).deleted
