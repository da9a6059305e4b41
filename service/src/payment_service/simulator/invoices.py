"""The shapes of subscriptions, their items, invoices and invoice payments, as of 2026-10-28.endive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.rendering import render

if TYPE_CHECKING:
    from payment_service.simulator.state import State


def subscription_object(
    state: State,
    *,
    customer: str,
    priced: list[tuple[dict[str, Any], int]],
    start: int,
    end: int,
    trial_end: int | None,
    method: str | None,
    metadata: dict[str, Any],
) -> dict[str, Any]:
    """Return a new subscription (docs.stripe.com/api/subscriptions/object); the period stands on the items."""
    subscription_id = state.new_id("sub")
    items = [
        {
            "id": state.new_id("si"),
            "object": "subscription_item",
            "created": start,
            "current_period_end": end,
            "current_period_start": start,
            "discounts": [],
            "metadata": {},
            "price": render(state, price),
            "quantity": quantity,
            "subscription": subscription_id,
            "tax_rates": [],
        }
        for price, quantity in priced
    ]
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": end if trial_end else start,
        "billing_mode": {"type": "flexible"},
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": start,
        "currency": priced[0][0]["currency"],
        "customer": customer,
        "days_until_due": None,
        "default_payment_method": method,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "latest_invoice": None,
        "livemode": state.livemode,
        "metadata": metadata,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "on_subscription",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": start,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": start if trial_end else None,
    }


def invoice_object(state: State, subscription: dict[str, Any], *, amount: int, reason: str) -> dict[str, Any]:
    """Return a new open invoice of a subscription (docs.stripe.com/api/invoices/object)."""
    customer = state.get("customer", subscription["customer"])
    item = subscription["items"]["data"][0]
    return {
        "id": state.new_id("in"),
        "object": "invoice",
        "amount_due": amount,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": amount,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "confirmation_secret": None,
        "created": state.now,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "default_payment_method": None,
        "description": None,
        "discounts": [],
        "due_date": None,
        "ending_balance": 0,
        "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/invoices/lines"},
        "livemode": state.livemode,
        "metadata": {},
        "number": f"{customer['invoice_prefix']}-{len(state.by_kind.get('invoice', {})) + 1:04d}",
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payments": None,
        "period_end": item["current_period_end"],
        "period_start": item["current_period_start"],
        "starting_balance": 0,
        "status": "open",
        "status_transitions": {
            "finalized_at": state.now,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": amount,
        "total": amount,
        "_subscription": subscription["id"],
    }


def invoice_payment(state: State, invoice: dict[str, Any], intent: str) -> dict[str, Any]:
    """Return the payment of an invoice (docs.stripe.com/api/invoice-payment/object)."""
    return {
        "id": state.new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": state.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": state.livemode,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
