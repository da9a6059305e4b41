"""How Stripe's invoices, payments, refunds, disputes and checkouts become rows.

Each function takes the object in any shape from the API versions before 2025-03-31.basil up to the pinned one, and
returns only what both shapes tell: so it does not matter which version an event was made under. Each raises
StripeUnreadable when a member is not as Stripe's reference says.
"""

from __future__ import annotations

from typing import Any, Final

from payment_service.mirror import payment_shapes
from payment_service.storage.mirror import moment, object_id
from payment_service.stripe_api.objects import check

_RENAMED: Final = {
    "requires_source": "requires_payment_method",
    "requires_source_action": "requires_action",
}
"""Statuses of intents before 2019-02-11 (docs.stripe.com/upgrades#2019-02-11)."""

_DELETED_DRAFT: Final = {
    "status": "deleted",
    "amount_due": 0,
    "amount_paid": 0,
    "attempt_count": 0,
    "number": None,
    "total": None,
    "amount_remaining": None,
}
"""What is left of a deleted draft, however much of it was seen before."""


def invoice_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of an invoice (docs.stripe.com/api/invoices/object).

    Since 2025-03-31.basil the subscription stands under `parent.subscription_details`.
    """
    if obj.get("deleted") and "currency" not in obj:  # a thin event tells no more
        check(obj, payment_shapes.DeletedInvoice)
        return _DELETED_DRAFT | {"livemode": obj["livemode"]}
    check(obj, payment_shapes.Invoice)
    details = (obj.get("parent") or {}).get("subscription_details") or {}
    due, paid = obj.get("amount_due") or 0, obj.get("amount_paid") or 0
    columns = {
        "stripe_subscription_id": object_id(details.get("subscription") or obj.get("subscription")),
        "stripe_customer_id": object_id(obj.get("customer")),
        "status": obj["status"] if "status" in obj else _old_invoice_status(obj),
        "billing_reason": obj.get("billing_reason"),
        "currency": obj["currency"],
        "amount_due": due,
        "amount_paid": paid,
        "attempt_count": obj.get("attempt_count") or 0,
        "number": obj.get("number"),
        "total": obj.get("total"),
        "amount_remaining": obj.get("amount_remaining", max(due - paid, 0)),
        "livemode": obj["livemode"],
    }
    return columns | _DELETED_DRAFT if obj.get("deleted") else columns


def _old_invoice_status(obj: dict[str, Any]) -> str:
    """Return the status of an invoice from before 2018-11-08, which had flags instead."""
    if obj.get("paid"):
        return "paid"
    if obj.get("forgiven"):
        return "uncollectible"
    return "void" if obj.get("closed") else "open"


def invoice_payment_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a payment of an invoice (docs.stripe.com/api/invoice-payment/object)."""
    check(obj, payment_shapes.InvoicePayment)
    payment = obj.get("payment") or {}
    return {
        "invoice_id": object_id(obj.get("invoice")),
        "payment_intent_id": object_id(payment.get("payment_intent")),
        "charge_id": object_id(payment.get("charge")),
        "amount_requested": obj.get("amount_requested"),
        "amount_paid": obj.get("amount_paid"),
        "is_default": bool(obj.get("is_default")),
        **_shared(obj),
    }


def payment_intent_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a payment intent (docs.stripe.com/api/payment_intents/object).

    Before 2022-11-15 its charges were embedded, newest first.
    """
    check(obj, payment_shapes.PaymentIntent)
    embedded = (obj.get("charges") or {}).get("data") or [{}]
    return {
        "stripe_customer_id": object_id(obj.get("customer")),
        "amount": obj["amount"],
        "amount_received": obj.get("amount_received") or 0,
        "payment_method_id": object_id(obj.get("payment_method") or obj.get("source")),
        "latest_charge_id": object_id(obj.get("latest_charge") or embedded[0].get("id")),
        "cancellation_reason": obj.get("cancellation_reason"),
        "last_error_code": _error_code(obj.get("last_payment_error")),
        **_shared(obj),
    }


def setup_intent_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a setup intent (docs.stripe.com/api/setup_intents/object)."""
    check(obj, payment_shapes.SetupIntent)
    return {
        "stripe_customer_id": object_id(obj.get("customer")),
        "payment_method_id": object_id(obj.get("payment_method")),
        "usage": obj.get("usage"),
        "cancellation_reason": obj.get("cancellation_reason"),
        "last_error_code": _error_code(obj.get("last_setup_error")),
        **_shared(obj),
    }


def charge_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a charge (docs.stripe.com/api/charges/object).

    A refund that fails gives its amount back, so `refunded` is no end: the present charge decides.
    """
    check(obj, payment_shapes.Charge)
    captured, taken = obj.get("captured", True), obj.get("amount_captured")
    shared = _shared(obj)
    return shared | {
        "stripe_customer_id": object_id(obj.get("customer")),
        "payment_intent_id": object_id(obj.get("payment_intent")),
        "status": "succeeded" if shared["status"] == "paid" else shared["status"],
        "amount": obj["amount"],
        "amount_captured": (obj["amount"] if captured else 0) if taken is None else taken,
        "amount_refunded": obj.get("amount_refunded") or 0,
        "paid": bool(obj.get("paid")),
        "captured": bool(captured),
        "refunded": bool(obj.get("refunded")),
        "disputed": bool(obj.get("disputed", obj.get("dispute") is not None)),
        "failure_code": obj.get("failure_code"),
    }


def refund_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a refund (docs.stripe.com/api/refunds/object); the oldest had no status."""
    check(obj, payment_shapes.Refund)
    shared = _shared(obj)
    return shared | {
        "status": shared["status"] or "succeeded",
        "charge_id": object_id(obj.get("charge")),
        "payment_intent_id": object_id(obj.get("payment_intent")),
        "amount": obj["amount"],
        "reason": obj.get("reason"),
        "failure_reason": obj.get("failure_reason"),
    }


def dispute_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a dispute (docs.stripe.com/api/disputes/object)."""
    check(obj, payment_shapes.Dispute)
    return {
        "charge_id": object_id(obj.get("charge")),
        "payment_intent_id": object_id(obj.get("payment_intent")),
        "amount": obj["amount"],
        "reason": obj.get("reason"),
        "evidence_due_by": moment((obj.get("evidence_details") or {}).get("due_by")),
        **_shared(obj),
    }


def checkout_session_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a checkout session (docs.stripe.com/api/checkout/sessions/object).

    `status` came in 2021; before, a paid session was a complete one.
    """
    check(obj, payment_shapes.CheckoutSession)
    shared = _shared(obj)
    done = obj.get("payment_status") in {"paid", "no_payment_required"}
    return shared | {
        "status": shared["status"] or ("complete" if done else "open"),
        "stripe_customer_id": object_id(obj.get("customer")),
        "mode": obj.get("mode"),
        "payment_status": obj.get("payment_status"),
        "payment_intent_id": object_id(obj.get("payment_intent")),
        "setup_intent_id": object_id(obj.get("setup_intent")),
        "stripe_subscription_id": object_id(obj.get("subscription")),
        "invoice_id": object_id(obj.get("invoice")),
        "client_reference_id": obj.get("client_reference_id"),
        "amount_total": obj.get("amount_total"),
        "expires_at": moment(obj.get("expires_at")),
    }


def _shared(obj: dict[str, Any]) -> dict[str, Any]:
    status = obj.get("status")
    return {
        "status": _RENAMED.get(status or "", status),
        "currency": obj.get("currency"),
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
    }


def _error_code(error: dict[str, Any] | None) -> str | None:
    """Return why it failed, as the card's issuer or else Stripe says."""
    return None if error is None else error.get("decline_code") or error.get("code")
