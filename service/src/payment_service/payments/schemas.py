"""How Stripe's invoice becomes a row."""

from __future__ import annotations

from typing import Any


def invoice_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe invoice, in any shape from before `basil` on.

    Since 2025-03-31.basil the subscription stands under `parent.subscription_details`
    (docs.stripe.com/changelog/basil/2025-03-31).
    """
    details = (obj.get("parent") or {}).get("subscription_details") or {}
    return {
        "stripe_subscription_id": _id(details.get("subscription") or obj.get("subscription")),
        "stripe_customer_id": _id(obj.get("customer")),
        "status": obj.get("status"),
        "billing_reason": obj.get("billing_reason"),
        "currency": obj["currency"],
        "amount_due": obj.get("amount_due") or 0,
        "amount_paid": obj.get("amount_paid") or 0,
        "attempt_count": obj.get("attempt_count") or 0,
        "livemode": obj["livemode"],
    }


def _id(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    found: str = value["id"]
    return found
