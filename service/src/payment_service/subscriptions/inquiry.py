"""Asks Stripe what became of a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.errors import PaymentDeclined
from payment_service.platform import stripe_calls
from payment_service.subscriptions.schemas import client_secret

if TYPE_CHECKING:
    from payment_service.platform.stripe_gateway import StripeGateway, StripeObject


async def find_by_operation(gateway: StripeGateway, operation_id: str, *, customer: str) -> StripeObject | None:
    """Return the subscription that an operation made, by the id in its metadata.

    The customer's subscriptions are listed, because Stripe's search lags behind (docs.stripe.com/search).
    """
    starting_after = None
    while True:
        page = await stripe_calls.list_subscriptions(
            gateway, customer=customer, status="all", limit=100, starting_after=starting_after
        )
        for obj in page["data"]:
            if (obj.get("metadata") or {}).get("lean_payments_operation") == operation_id:
                found: dict[str, Any] = obj
                return found
        if not page["has_more"]:
            return None
        starting_after = page["data"][-1]["id"]


async def declined_reason(gateway: StripeGateway, obj: StripeObject) -> PaymentDeclined | None:
    """Return the decline of the first payment, if there is one; a card that asks for authentication is none."""
    if obj["status"] != "incomplete":
        return None
    secret, kind = client_secret(obj)
    if secret is None or kind != "payment":
        return None
    intent = await stripe_calls.retrieve_payment_intent(gateway, secret.partition("_secret_")[0])
    error = intent.get("last_payment_error")
    if intent["status"] != "requires_payment_method" or not error:
        return None
    return PaymentDeclined(error.get("message"), stripe_code=error.get("code"), decline_code=error.get("decline_code"))
