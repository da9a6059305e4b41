"""The calls to Stripe that the features make, each with the parameters that Stripe documents for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from payment_service.stripe_api.gateway import SUBSCRIPTION_EXPAND, Answer, StripeGateway, StripeRejected
from payment_service.stripe_api.objects import Page, id_in, member, read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from payment_service.json_types import JsonObject


class SubscriptionTerms(NamedTuple):
    """What a new subscription is made of (docs.stripe.com/api/subscriptions/create)."""

    customer: str
    price: str
    quantity: int | None
    """None for a metered price, which takes none."""
    payment_method: str | None
    trial_days: int | None
    metadata: Mapping[str, str]


async def create_customer(
    gateway: StripeGateway,
    *,
    key: str,
    email: str | None,
    name: str | None,
    metadata: Mapping[str, str],
    payment_method: str | None = None,
) -> JsonObject:
    """Create a customer (docs.stripe.com/api/customers/create), if asked with a payment method in the same call.

    That becomes the default of the customer's invoices, for Stripe shows what it has attached there alone: expanded.

    Raises:
        StripeDeclined: the bank refuses the payment method; there is no customer.
    """
    params: dict[str, object] = {"email": email, "name": name, "metadata": dict(metadata)}
    if payment_method is not None:
        params |= {
            "payment_method": payment_method,
            "invoice_settings": {"default_payment_method": payment_method},
            "expand": ["invoice_settings.default_payment_method"],
        }
    return await gateway.request("create_customer", "post", "customers", params=params, idempotency_key=key)


async def retrieve_customer(gateway: StripeGateway, customer_id: str) -> JsonObject:
    """Retrieve a customer (docs.stripe.com/api/customers/retrieve)."""
    return await gateway.request("retrieve_customer", "get", "customers", customer_id)


async def list_customers(gateway: StripeGateway, **params: object) -> AsyncIterator[JsonObject]:
    """Walk through the customers that a filter lets pass, newest first (docs.stripe.com/api/customers/list).

    `email` compares letter by letter.
    """
    params = {"limit": 100, **params}
    while True:
        page = await _page(gateway, "list_customers", "customers", params=params)
        for obj in page.objects:
            yield obj
        if not page.has_more:
            return
        params["starting_after"] = page.last_id


async def retrieve_price(gateway: StripeGateway, price_id: str) -> JsonObject:
    """Retrieve a price (docs.stripe.com/api/prices/retrieve)."""
    return await gateway.request("retrieve_price", "get", "prices", price_id)


async def list_prices(gateway: StripeGateway, **params: object) -> Page:
    """List prices (docs.stripe.com/api/prices/list)."""
    return await _page(gateway, "list_prices", "prices", params=params)


async def look_up_price(gateway: StripeGateway, by: Literal["price_id", "lookup_key"], value: str) -> JsonObject | None:
    """Return the price with this id, or the active one with this lookup key, of which there is one at most.

    Raises:
        StripeRejected: there is no such id.
    """
    if by == "price_id":
        return await retrieve_price(gateway, value)
    page = await list_prices(gateway, lookup_keys=[value], active=True, limit=1)
    return next(iter(page.objects), None)


async def attach_payment_method(gateway: StripeGateway, payment_method: str, *, key: str, customer: str) -> JsonObject:
    """Attach a payment method to a customer (docs.stripe.com/api/payment_methods/attach)."""
    return await gateway.request(
        "attach_payment_method",
        "post",
        "payment_methods",
        payment_method,
        "attach",
        params={"customer": customer},
        idempotency_key=key,
    )


async def retrieve_payment_method(gateway: StripeGateway, payment_method: str) -> JsonObject:
    """Retrieve a payment method (docs.stripe.com/api/payment_methods/retrieve)."""
    return await gateway.request("retrieve_payment_method", "get", "payment_methods", payment_method)


async def list_payment_methods(gateway: StripeGateway, customer: str, **params: object) -> Page:
    """List a page of what a customer has (docs.stripe.com/api/payment_methods/customer_list)."""
    params = {"limit": 100, **params}
    return await _page(gateway, "list_payment_methods", "customers", customer, "payment_methods", params=params)


async def detach_payment_method(gateway: StripeGateway, payment_method: str, *, key: str) -> JsonObject:
    """Detach a payment method for good (docs.stripe.com/api/payment_methods/detach)."""
    path = ("payment_methods", payment_method, "detach")
    return await gateway.request("detach_payment_method", "post", *path, idempotency_key=key)


async def set_default_payment_method(
    gateway: StripeGateway, customer: str, *, payment_method: str, key: str
) -> JsonObject:
    """Let a customer's invoices be paid with it (docs.stripe.com/api/customers/update).

    Return the customer as it is now: a replay shows what it was at the first call.
    """
    params = {"invoice_settings": {"default_payment_method": payment_method}}
    answer = await gateway.call("update_customer", "post", "customers", customer, params=params, idempotency_key=key)
    return await retrieve_customer(gateway, customer) if answer.replayed else answer.object


async def create_setup_intent(
    gateway: StripeGateway, *, key: str, customer: str, usage: str, metadata: Mapping[str, str]
) -> JsonObject:
    """Create a setup intent and return it as it is now (docs.stripe.com/api/setup_intents/create)."""
    params = {"customer": customer, "usage": usage, "metadata": dict(metadata)}
    answer = await gateway.call("create_setup_intent", "post", "setup_intents", params=params, idempotency_key=key)
    return await retrieve(gateway, "setup_intents", id_in(answer.object)) if answer.replayed else answer.object


async def cancel_setup_intent(gateway: StripeGateway, setup_intent_id: str, *, key: str) -> JsonObject:
    """Cancel a setup intent that has not ended (docs.stripe.com/api/setup_intents/cancel)."""
    path = ("setup_intents", setup_intent_id, "cancel")
    return await gateway.request("cancel_setup_intent", "post", *path, idempotency_key=key)


async def find_setup_intent(gateway: StripeGateway, *, customer: str, metadatum: tuple[str, str]) -> JsonObject | None:
    """Return the customer's setup intent with this metadatum (docs.stripe.com/api/setup_intents/list)."""
    return await find_marked(gateway, "setup_intents", metadatum, customer=customer)


async def find_marked(
    gateway: StripeGateway, collection: str, metadatum: tuple[str, str], **params: object
) -> JsonObject | None:
    """Return the newest object of a filtered list with this metadatum."""
    name, value = metadatum
    after: str | None = None
    while True:
        page = await list_page(gateway, collection, starting_after=after, **params)
        for obj in page.objects:
            if member(obj, "metadata").get(name) == value:
                return obj
        if not page.has_more:
            return None
        after = page.last_id


async def create_subscription(gateway: StripeGateway, terms: SubscriptionTerms, *, key: str) -> JsonObject:
    """Create a subscription (docs.stripe.com/api/subscriptions/create).

    With a payment method it charges at once (`allow_incomplete`); without one the client confirms later
    (`default_incomplete`): docs.stripe.com/billing/subscriptions/overview#subscription-payment-behavior.
    """
    quantity = {} if terms.quantity is None else {"quantity": terms.quantity}
    params: dict[str, object] = {
        "customer": terms.customer,
        "items": [{"price": terms.price, **quantity}],
        "default_payment_method": terms.payment_method,
        "payment_behavior": "allow_incomplete" if terms.payment_method else "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "trial_period_days": terms.trial_days,
        "metadata": dict(terms.metadata),
        "expand": list(SUBSCRIPTION_EXPAND),
    }
    answer = await gateway.call("create_subscription", "post", "subscriptions", params=params, idempotency_key=key)
    return await _present(gateway, answer)


async def _present(gateway: StripeGateway, answer: Answer) -> JsonObject:
    """Return the subscription as it is now: a replay shows what it was at the first call."""
    return await retrieve_subscription(gateway, id_in(answer.object)) if answer.replayed else answer.object


async def retrieve_subscription(gateway: StripeGateway, subscription_id: str) -> JsonObject:
    """Retrieve a subscription with its client secrets (docs.stripe.com/api/subscriptions/retrieve)."""
    params = {"expand": list(SUBSCRIPTION_EXPAND)}
    return await gateway.request("retrieve_subscription", "get", "subscriptions", subscription_id, params=params)


async def list_subscriptions(gateway: StripeGateway, **params: object) -> Page:
    """List subscriptions (docs.stripe.com/api/subscriptions/list)."""
    params = {"expand": [f"data.{path}" for path in SUBSCRIPTION_EXPAND], **params}
    return await _page(gateway, "list_subscriptions", "subscriptions", params=params)


async def cancel_subscription(
    gateway: StripeGateway, subscription_id: str, *, key: str, comment: str, prorate: bool = False
) -> JsonObject:
    """Cancel at once (docs.stripe.com/api/subscriptions/cancel).

    With `prorate` the rest of the period is given back by a last invoice, which settles what was not invoiced yet.

    Stripe keeps no idempotency keys for DELETE, and an HTTP client may send it twice: the second finds nothing. The
    comment tells that the cancellation was ours.

    Raises:
        StripeRejected: it had ended before.
    """
    params: dict[str, object] = {"cancellation_details": {"comment": comment}}
    if prorate:
        params |= {"prorate": True, "invoice_now": True}
    path = ("subscriptions", subscription_id)
    try:
        return await gateway.request("cancel_subscription", "delete", *path, params=params, idempotency_key=key)
    except StripeRejected:
        obj = await retrieve_subscription(gateway, subscription_id)
        if member(obj, "cancellation_details").get("comment") != comment:
            raise
        return obj


async def set_cancel_at_period_end(gateway: StripeGateway, subscription_id: str, *, key: str) -> JsonObject:
    """Let the subscription end with its period (docs.stripe.com/api/subscriptions/update)."""
    params = {"cancel_at_period_end": True}
    answer = await gateway.call(
        "update_subscription", "post", "subscriptions", subscription_id, params=params, idempotency_key=key
    )
    return await _present(gateway, answer)


async def pay_invoice(gateway: StripeGateway, invoice_id: str, *, key: str, payment_method: str) -> JsonObject:
    """Pay an open invoice now (docs.stripe.com/api/invoices/pay); a paid one is refused, so it is never paid twice."""
    params = {"payment_method": payment_method}
    return await gateway.request(
        "pay_invoice", "post", "invoices", invoice_id, "pay", params=params, idempotency_key=key
    )


async def retrieve_payment_intent(gateway: StripeGateway, payment_intent_id: str) -> JsonObject:
    """Retrieve a payment intent (docs.stripe.com/api/payment_intents/retrieve)."""
    return await gateway.request("retrieve_payment_intent", "get", "payment_intents", payment_intent_id)


async def retrieve(gateway: StripeGateway, collection: str, object_id: str) -> JsonObject:
    """Retrieve any object by its collection, for example `invoices` or `checkout/sessions`."""
    operation = f"retrieve_{collection.replace('/', '_')}"
    return await gateway.request(operation, "get", *collection.split("/"), object_id)


async def list_page(gateway: StripeGateway, collection: str, **params: object) -> Page:
    """List a page of any collection, newest first (docs.stripe.com/api/pagination)."""
    operation = f"list_{collection.replace('/', '_')}"
    return await _page(gateway, operation, *collection.split("/"), params={"limit": 100, **params})


async def _page(gateway: StripeGateway, operation: str, *segments: str, params: Mapping[str, object]) -> Page:
    """Return a page of a list.

    Raises:
        StripeUnreadable: it is none.
    """
    page = await gateway.request(operation, "get", *segments, params=params)
    return read(page, Page)


async def check(gateway: StripeGateway) -> None:
    """Ask for the balance: the cheapest call that proves the key works (docs.stripe.com/api/balance)."""
    await gateway.request("retrieve_balance", "get", "balance")
