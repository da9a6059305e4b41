"""Asks Stripe what became of a subscription, and what else a customer has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from payment_service.mirror.subscription import ITEMS
from payment_service.mirror.subscription_shape import Subscription, SubscriptionItem
from payment_service.storage.tables import LIVE_STATUSES
from payment_service.stripe_api import calls
from payment_service.stripe_api.objects import id_in, id_of, read
from payment_service.subscriptions.answers import PaymentIntentAnswer, answer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from payment_service.errors import PaymentDeclined
    from payment_service.json_types import JsonObject
    from payment_service.stripe_api.gateway import StripeGateway


class PendingItems(Struct):
    """Items that wait for a payment (docs.stripe.com/billing/subscriptions/pending-updates)."""

    subscription_items: list[SubscriptionItem] | None = None


class Pending(Struct):
    """What of a subscription waits."""

    pending_update: PendingItems | None = None


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


async def find_other_live(
    gateway: StripeGateway, *, customer: str, product: str, made_by: str = "", besides: str = ""
) -> JsonObject | None:
    """Return a live subscription of the customer that has the product, or will once its pending update is paid.

    Args:
        gateway: is asked.
        customer: Stripe's id.
        product: Stripe's id.
        made_by: the operation that asks; when it has made its own already, there is no other.
        besides: Stripe's id of the subscription that is to have the product.
    """
    other: JsonObject | None = None
    after: dict[str, str] = {}
    while True:
        page = await calls.list_page(gateway, "subscriptions", customer=customer, **after)
        for obj in page.objects:
            shown = read(obj, Subscription)
            if made_by and shown.operation_reference == made_by:
                return None
            counts = other is None and shown.status in LIVE_STATUSES and id_in(obj) != besides
            if counts and product in (await products_of(gateway, obj) | _pending_products(obj)):
                other = obj
        if not page.has_more:
            return other
        after = {"starting_after": page.last_id}


async def products_of(gateway: StripeGateway, obj: JsonObject) -> set[str]:
    """Return the products of all items of a subscription.

    It shows ten items at most (docs.stripe.com/api/subscriptions/object).
    """
    if not ITEMS.is_cut(obj):
        return read(obj, Subscription).products
    page = await calls.list_page(gateway, ITEMS.collection, **{ITEMS.parameter: id_in(obj)})
    return _products([read(item, SubscriptionItem) for item in page.objects])


def _pending_products(obj: JsonObject) -> set[str]:
    pending = read(obj, Pending).pending_update
    return set() if pending is None else _products(pending.subscription_items or [])


def _products(items: Iterable[SubscriptionItem]) -> set[str]:
    return {product for item in items if (product := id_of(item.ordered.product))}


async def declined_reason(gateway: StripeGateway, obj: JsonObject) -> PaymentDeclined | None:
    """Return the decline of the first payment, if there is one; a card that asks for authentication is none."""
    answer = answer_of(obj)
    secret, kind = answer.client_secret
    if answer.status != "incomplete" or secret is None or kind != "payment":
        return None
    intent = await calls.retrieve_payment_intent(gateway, secret.partition("_secret_")[0])
    return read(intent, PaymentIntentAnswer).decline
