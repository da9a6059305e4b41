"""The calls to Stripe that change what a subscription is for, or say what that would come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.stripe_api.calls import retrieve_subscription
from payment_service.stripe_api.gateway import SUBSCRIPTION_EXPAND

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.stripe_api.gateway import StripeGateway


async def preview_change(
    gateway: StripeGateway,
    subscription_id: str,
    *,
    item: str,
    price: str,
    quantity: int | None,
    proration_behavior: str,
    proration_date: int,
) -> JsonObject:
    """Return the invoice that a change of an item comes to (docs.stripe.com/api/invoices/create_preview)."""
    details: dict[str, object] = {
        "items": [_item(item, price, quantity)],
        "proration_behavior": proration_behavior,
    }
    if proration_behavior != "none":
        details["proration_date"] = proration_date
    params = {"subscription": subscription_id, "subscription_details": details}
    return await gateway.request("preview_invoice", "post", "invoices", "create_preview", params=params)


async def change_subscription(
    gateway: StripeGateway,
    subscription_id: str,
    *,
    key: str,
    item: str,
    price: str,
    quantity: int | None,
    proration_behavior: str,
    proration_date: int,
    waits: bool,
) -> JsonObject:
    """Change an item and return the subscription as it is now (docs.stripe.com/api/subscriptions/update).

    With `waits` what has to be paid at once takes effect when it is (`pending_if_incomplete`), which Stripe takes of
    subscriptions only that it charges by itself. A `proration_date` without prorations is refused there.
    """
    params: dict[str, object] = {
        "items": [_item(item, price, quantity)],
        "proration_behavior": proration_behavior,
        "proration_date": None if proration_behavior == "none" else proration_date,
        "payment_behavior": "pending_if_incomplete" if waits else None,
        "expand": list(SUBSCRIPTION_EXPAND),
    }
    path = ("subscriptions", subscription_id)
    answer = await gateway.call("update_subscription", "post", *path, params=params, idempotency_key=key)
    return await retrieve_subscription(gateway, subscription_id) if answer.replayed else answer.object


def _item(item: str, price: str, quantity: int | None) -> dict[str, object]:
    return {"id": item, "price": price} | ({} if quantity is None else {"quantity": quantity})
