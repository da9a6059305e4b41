"""Asks Stripe what became of a subscription, and what else a customer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.errors import PaymentDeclined
from payment_service.mirror.subscription import ITEMS
from payment_service.mirror.subscription_shape import Subscription
from payment_service.storage.mirror import object_id
from payment_service.storage.tables import LIVE_STATUSES
from payment_service.stripe_api import calls
from payment_service.stripe_api.objects import read
from payment_service.subscriptions.schemas import client_secret

if TYPE_CHECKING:
    from payment_service.stripe_api.gateway import StripeGateway, StripeObject


async def find_by_operation(gateway: StripeGateway, mark: str, *, customer: str) -> StripeObject | None:
    """Return the subscription that an operation made, by its mark in the metadata.

    The customer's subscriptions are listed, because Stripe's search lags behind (docs.stripe.com/search).
    """
    starting_after = None
    while True:
        page = await calls.list_subscriptions(
            gateway, customer=customer, status="all", limit=100, starting_after=starting_after
        )
        for obj in page["data"]:
            if read(obj, Subscription).mark == mark:
                found: dict[str, Any] = obj
                return found
        if not page["has_more"]:
            return None
        starting_after = page["data"][-1]["id"]


async def find_other_live(gateway: StripeGateway, mark: str, *, customer: str, product: str) -> StripeObject | None:
    """Return a live subscription of the customer to the product; None also when the operation has made its own.

    The list shows ten items of each subscription at most (docs.stripe.com/api/subscriptions/object).
    """
    other: StripeObject | None = None
    after: dict[str, str] = {}
    while True:
        page = await calls.list_page(gateway, "subscriptions", customer=customer, **after)
        for obj in page["data"]:
            if read(obj, Subscription).mark == mark:
                return None
            if other is None and obj["status"] in LIVE_STATUSES and product in await _products(gateway, obj):
                other = obj
        if not page["has_more"]:
            return other
        after = {"starting_after": page["data"][-1]["id"]}


async def _products(gateway: StripeGateway, obj: StripeObject) -> set[str | None]:
    items = obj["items"]
    if ITEMS.is_cut(obj):
        items = await calls.list_page(gateway, "subscription_items", subscription=obj["id"])
    return {object_id((item.get("price") or {}).get("product")) for item in items["data"]}


async def declined_reason(gateway: StripeGateway, obj: StripeObject) -> PaymentDeclined | None:
    """Return the decline of the first payment, if there is one; a card that asks for authentication is none."""
    if obj["status"] != "incomplete":
        return None
    secret, kind = client_secret(obj)
    if secret is None or kind != "payment":
        return None
    intent = await calls.retrieve_payment_intent(gateway, secret.partition("_secret_")[0])
    error = intent.get("last_payment_error")
    if intent["status"] != "requires_payment_method" or not error:
        return None
    return PaymentDeclined(error.get("message"), stripe_code=error.get("code"), decline_code=error.get("decline_code"))


def can_pay_by_itself(customer: StripeObject) -> bool:
    """Tell whether an invoice of the customer may be paid by what no request names.

    That is a default payment method (docs.stripe.com/api/customers/object), or a balance or discount that leaves
    nothing due: then the subscription is active at once, and its renewals are charged to whatever is the default then.
    """
    default = (customer.get("invoice_settings") or {}).get("default_payment_method") or customer.get("default_source")
    return bool(default) or (customer.get("balance") or 0) < 0 or bool(customer.get("discount"))
