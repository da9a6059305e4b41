"""The calls to Stripe that change a subscription, or say what that would come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from payment_service.stripe_api.calls import retrieve_subscription
from payment_service.stripe_api.gateway import SUBSCRIPTION_EXPAND, StripeRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from payment_service.json_types import JsonObject
    from payment_service.stripe_api.gateway import StripeGateway


WAITS: Final = "pending_if_incomplete"
NOTHING_TO_INVOICE: Final = "invoice_upcoming_none"
"""docs.stripe.com/error-codes#invoice-upcoming-none."""


class ChangeTerms(NamedTuple):
    """A change of what a subscription comes to."""

    subscription: str
    """Stripe's id."""
    item: str
    """Of the one item."""
    price: str
    """Of which it is to be; Stripe is told of it unless `keeps_price`."""
    quantity: int | None
    """None for a metered price."""
    behavior: str
    at: int
    """The second for which it is worked out."""
    period_end: int
    """Of the period that the subscription is in, or is to be in; what begins before that begins at once."""
    orders: bool = True
    """Whether price or quantity are to be others; else they are what they were."""
    trial_end: int | Literal["now"] | None = None
    """When the running trial is to end; None: as it was."""
    keeps_price: bool = False
    """The price is not named: it stays what it is when Stripe makes the change."""

    @property
    def proration_date(self) -> int | None:
        """What Stripe is told of `at`: nothing where nothing is prorated, as in a trial."""
        return None if self.behavior == "none" or self.trial_end is not None else self.at

    @property
    def items(self) -> list[dict[str, object]] | None:
        """The change of the item, if there is one.

        A quantity goes with each price: "when changing a subscription item's price, quantity is set to 1 unless a
        quantity parameter is provided" (docs.stripe.com/api/subscription_items/update).
        """
        if not self.orders:
            return None
        price = {} if self.keeps_price else {"price": self.price}
        quantity = {} if self.quantity is None else {"quantity": self.quantity}
        return [{"id": self.item, **price, **quantity}]


async def preview_change(gateway: StripeGateway, terms: ChangeTerms, *, behavior: str) -> JsonObject:
    """Return the invoice that a change comes to (docs.stripe.com/api/invoices/create_preview)."""
    terms = terms._replace(behavior=behavior)
    details = {
        "items": terms.items,
        "trial_end": terms.trial_end,
        "proration_behavior": terms.behavior,
        "proration_date": terms.proration_date,
    }
    given = {name: value for name, value in details.items() if value is not None}
    params = {"subscription": terms.subscription, "subscription_details": given}
    return await gateway.request("preview_invoice", "post", "invoices", "create_preview", params=params)


async def preview_creation(gateway: StripeGateway, customer: str, *, price: str, quantity: int | None) -> JsonObject:
    """Return the first invoice of a new subscription (docs.stripe.com/api/invoices/create_preview)."""
    item = {"price": price} if quantity is None else {"price": price, "quantity": quantity}
    params = {"customer": customer, "subscription_details": {"items": [item]}}
    return await gateway.request("preview_invoice", "post", "invoices", "create_preview", params=params)


async def preview_cancellation(
    gateway: StripeGateway, subscription_id: str, *, at_period_end: bool
) -> JsonObject | None:
    """Return the invoice that a cancellation makes (docs.stripe.com/api/invoices/create_preview); None: it makes none.

    At once it gives back what is left of the period; with the period's end it is of what was not invoiced yet.
    """
    details: dict[str, object] = {"cancel_at_period_end": True}
    if not at_period_end:
        details = {"cancel_now": True, "proration_behavior": "always_invoice"}
    params = {"subscription": subscription_id, "subscription_details": details}
    try:
        return await gateway.request("preview_invoice", "post", "invoices", "create_preview", params=params)
    except StripeRejected as error:
        if error.stripe_code == NOTHING_TO_INVOICE:
            return None
        raise


async def change_subscription(gateway: StripeGateway, terms: ChangeTerms, *, key: str, waits: bool) -> JsonObject:
    """Make a change and return the subscription as it is now (docs.stripe.com/api/subscriptions/update).

    With `waits` what has to be paid at once takes effect when it is (`pending_if_incomplete`), which Stripe takes of
    subscriptions only that it charges by itself, and with nothing beside
    (docs.stripe.com/billing/subscriptions/pending-updates-reference#supported-attributes).
    """
    params: dict[str, object] = {
        "items": terms.items,
        "trial_end": terms.trial_end,
        "proration_behavior": terms.behavior,
        "proration_date": terms.proration_date,
        "payment_behavior": WAITS if waits else None,
    }
    return await update_subscription(gateway, terms.subscription, params=params, key=key)


def refuses_to_wait(error: StripeRejected) -> bool:
    """Tell whether Stripe refused a change because nothing waits there for its payment.

    It does so of bank debits (docs.stripe.com/billing/subscriptions/pending-updates), in words that are not documented.
    """
    return error.param == "payment_behavior" or WAITS in error.detail


async def update_subscription(
    gateway: StripeGateway, subscription_id: str, *, params: Mapping[str, object], key: str
) -> JsonObject:
    """Change a subscription and return it as it is now (docs.stripe.com/api/subscriptions/update)."""
    given = {**params, "expand": list(SUBSCRIPTION_EXPAND)}
    path = ("subscriptions", subscription_id)
    answer = await gateway.call("update_subscription", "post", *path, params=given, idempotency_key=key)
    return await retrieve_subscription(gateway, subscription_id) if answer.replayed else answer.object
