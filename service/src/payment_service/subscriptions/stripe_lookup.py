"""Asks Stripe what became of a subscription, and what else a customer has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.mirror.subscription import ITEMS
from payment_service.mirror.subscription_shape import Subscription, SubscriptionItem
from payment_service.storage.tables import LIVE_STATUSES
from payment_service.stripe_api import calls
from payment_service.stripe_api.objects import id_in, id_of, read
from payment_service.subscriptions.answers import PaymentIntentAnswer, answer_of

if TYPE_CHECKING:
    from payment_service.errors import PaymentDeclined
    from payment_service.json_types import JsonObject
    from payment_service.stripe_api.gateway import StripeGateway


async def find_by_operation(gateway: StripeGateway, reference: str, *, customer: str) -> JsonObject | None:
    """Return the subscription that an operation made, by its reference in the metadata.

    The customer's subscriptions are listed, because Stripe's search lags behind (docs.stripe.com/search).
    """
    starting_after = None
    while True:
        page = await calls.list_subscriptions(
            gateway, customer=customer, status="all", limit=100, starting_after=starting_after
        )
        for obj in page.objects:
            if read(obj, Subscription).operation_reference == reference:
                return obj
        if not page.has_more:
            return None
        starting_after = page.last_id


async def find_other_live(gateway: StripeGateway, reference: str, *, customer: str, product: str) -> JsonObject | None:
    """Return a live subscription of the customer to the product; None also when the operation has made its own.

    The list shows ten items of each subscription at most (docs.stripe.com/api/subscriptions/object).
    """
    other: JsonObject | None = None
    after: dict[str, str] = {}
    while True:
        page = await calls.list_page(gateway, "subscriptions", customer=customer, **after)
        for obj in page.objects:
            shown = read(obj, Subscription)
            if shown.operation_reference == reference:
                return None
            if other is None and shown.status in LIVE_STATUSES and product in await _products(gateway, obj, shown):
                other = obj
        if not page.has_more:
            return other
        after = {"starting_after": page.last_id}


async def _products(gateway: StripeGateway, obj: JsonObject, shown: Subscription) -> set[str]:
    if not ITEMS.is_cut(obj):
        return shown.products
    page = await calls.list_page(gateway, ITEMS.collection, **{ITEMS.parameter: id_in(obj)})
    items = [read(item, SubscriptionItem) for item in page.objects]
    return {product for item in items if (product := id_of(item.ordered.product))}


async def declined_reason(gateway: StripeGateway, obj: JsonObject) -> PaymentDeclined | None:
    """Return the decline of the first payment, if there is one; a card that asks for authentication is none."""
    answer = answer_of(obj)
    secret, kind = answer.client_secret
    if answer.status != "incomplete" or secret is None or kind != "payment":
        return None
    intent = await calls.retrieve_payment_intent(gateway, secret.partition("_secret_")[0])
    return read(intent, PaymentIntentAnswer).decline
