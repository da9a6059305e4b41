"""What the API takes and says of subscriptions, and how Stripe's object becomes a row."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from payment_service.customers.schemas import Email, Metadata, Text
from payment_service.http.id_types import CustomerId, PaymentMethodId, PriceId
from payment_service.storage.mirror import moment, object_id
from payment_service.stripe_api.objects import check
from payment_service.subscriptions import shapes

ClientSecretKind = Literal["payment", "setup"]
SubscriptionStatus = Literal[
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"
]
"""docs.stripe.com/api/subscriptions/object#subscription_object-status."""
StatusAtStripe = Annotated[str, Meta(extra_json_schema={"enum": list(get_args(SubscriptionStatus))})]
"""What Stripe says is passed on as it is; the document names what it says today."""
TERMINAL: Final = ("canceled", "incomplete_expired")
"""Statuses that never change again (docs.stripe.com/billing/subscriptions/overview#subscription-statuses)."""
MAXIMUM_TRIAL_DAYS = 730
"""Stripe's limit of two years (docs.stripe.com/api/subscriptions/create#create_subscription-trial_period_days)."""


class CreateSubscription(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new subscription: a price, a customer, and how it is paid."""

    price_id: PriceId | None = None
    """Stripe's price id; this or `lookup_key`."""
    lookup_key: Text | None = None
    """The price's lookup key; this or `price_id`."""
    customer_id: CustomerId | None = None
    """Our id (`lpc_…`) or Stripe's (`cus_…`); one of the three ways to name the customer."""
    customer_reference: Text | None = None
    """The caller's own id of the customer: found, or created with `email` and `name`."""
    create: bool = False
    """Create a customer whose `customer_reference` is unknown also without an `email`."""
    email: Email | None = None
    """Alone: the one customer of the account with this address, or a new one. An address is no proof of who asks: a
    customer who was there before is charged on a payment method of this request only."""
    name: Text | None = None
    """Of a customer that is made; an existing one keeps its own."""
    quantity: Annotated[int, Meta(ge=1, le=999_999)] = 1
    """Seats or units; a metered price takes none: leave it out there."""
    payment_method_id: PaymentMethodId | None = None
    """Charged at once; without it the answer holds a client secret to confirm with."""
    trial_days: Annotated[int, Meta(ge=1, le=MAXIMUM_TRIAL_DAYS)] | None = None
    """Days before the first charge."""
    metadata: Metadata = {}
    """Yours; at most 40 keys. Kept at Stripe, on the subscription."""
    allow_multiple: bool = False
    """Allow more than one live subscription of this customer to this product."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        if (self.price_id is None) == (self.lookup_key is None):
            raise ValueError("price_id: give exactly one of price_id and lookup_key")
        if self.customer_id is None and self.customer_reference is None and self.email is None:
            raise ValueError("customer_id: give customer_id, customer_reference or email")
        if self.customer_id is not None and (self.customer_reference or self.email or self.name):
            raise ValueError("customer_id: give no customer_reference, email or name beside it")


class CancelSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the subscription ends."""

    at_period_end: bool = True
    """With its period (true), or now (false)."""


class PauseCollection(msgspec.Struct, kw_only=True):
    """Invoices go on, collecting them is paused (docs.stripe.com/billing/subscriptions/pause-payment)."""

    behavior: Annotated[str, Meta(extra_json_schema={"enum": ["keep_as_draft", "mark_uncollectible", "void"]})]
    """What becomes of the invoices: `keep_as_draft`, `mark_uncollectible` or `void`."""
    resumes_at: datetime | None
    """When collection goes on; null: until somebody ends the pause."""


class SubscriptionView(msgspec.Struct, kw_only=True):
    """A subscription as last heard from Stripe."""

    id: str
    """Our id."""
    stripe_subscription_id: str | None
    """Stripe's id; null until Stripe has answered."""
    customer_id: str | None
    """Our id of the customer; null if the customer is not known here."""
    stripe_customer_id: str | None
    """Stripe's id of the customer; null until Stripe has answered."""
    price_id: str
    """Of the item with the product that was ordered here; without such a one, of the oldest item."""
    product_id: str
    """Stripe's id of the price's product."""
    quantity: int | None
    """Null for a metered price, which has none; 0 is none paid for."""
    status: StatusAtStripe
    """As at Stripe (docs.stripe.com/billing/subscriptions/overview#subscription-statuses)."""
    pause_collection: PauseCollection | None
    """Not null: the status may say `active`, yet nothing is collected."""
    paused_reason: str | None
    """Why the status is `paused`, in Stripe's words, as `trial_end_without_payment_method`; null for others."""
    current_period_start: datetime | None
    """Begin of the period that is paid, or to be paid, now; null until Stripe has answered."""
    current_period_end: datetime | None
    """End of it, of several items the latest; null until Stripe has answered."""
    trial_end: datetime | None
    """When the trial ends or ended; null without one."""
    cancel_at_period_end: bool
    """Whether it ends with its period."""
    cancel_at: datetime | None
    """When it is to end; null: it goes on."""
    canceled_at: datetime | None
    """When the cancellation was asked for; null: it was not."""
    ended_at: datetime | None
    """When it ended; null while it lives."""
    latest_invoice_id: str | None
    """Stripe's id of the newest invoice; null without one."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    created_at: datetime
    """When it was created."""


class CreatedSubscription(msgspec.Struct, kw_only=True):
    """The answer to create-subscription."""

    id: str
    """Our id."""
    stripe_subscription_id: str
    """Stripe's id."""
    customer_id: str
    """Our id of the customer."""
    stripe_customer_id: str | None
    """Stripe's id of the customer; null until Stripe has answered."""
    price_id: str
    """Stripe's id of the price."""
    product_id: str
    """Stripe's id of the price's product."""
    quantity: int | None
    """Seats or units; null for a metered price."""
    status: StatusAtStripe
    """As at Stripe (docs.stripe.com/billing/subscriptions/overview#subscription-statuses)."""
    current_period_start: datetime | None
    """Begin of the period that is paid, or to be paid, now; null until Stripe has answered."""
    current_period_end: datetime | None
    """End of it, of several items the latest; null until Stripe has answered."""
    trial_end: datetime | None
    """When the trial ends or ended; null without one."""
    cancel_at_period_end: bool
    """Whether it ends with its period."""
    cancel_at: datetime | None
    """When it is to end; null: it goes on."""
    client_secret: str | None
    """For Stripe.js when the customer must act, else null."""
    client_secret_kind: ClientSecretKind | None
    """`payment`: confirm the first payment; `setup`: store a payment method for later; null: nothing to do."""
    latest_invoice_id: str | None
    """Stripe's id of the newest invoice; null without one."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    created_at: datetime
    """When it was created."""


class SubscriptionList(msgspec.Struct, kw_only=True):
    """A page of subscriptions, newest first."""

    data: list[SubscriptionView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""


def subscription_columns(obj: dict[str, Any], *, ordered: str | None = None) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe subscription, in any shape from before `basil` on.

    Since 2025-03-31.basil the period stands on the items (docs.stripe.com/changelog/basil/2025-03-31).

    Args:
        obj: the subscription.
        ordered: the product that was ordered here, whose item is shown.

    Raises:
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    check(obj, shapes.Subscription)
    items = _items(obj)
    shown = _shown(items, ordered)
    price = _price(shown)
    start = shown.get("current_period_start") or obj.get("current_period_start")
    ends = [item["current_period_end"] for item in items if item.get("current_period_end")]
    end = max(ends) if ends else obj.get("current_period_end")
    metadata = obj.get("metadata") or {}
    return {
        "stripe_customer_id": object_id(obj["customer"]),
        "product_id": object_id(price.get("product")) or "",
        "price_id": price.get("id") or "",
        "quantity": shown.get("quantity"),
        "status": obj["status"],
        **_pause(obj),
        "cancel_at_period_end": bool(obj.get("cancel_at_period_end")),
        "cancel_at": moment(obj.get("cancel_at")),
        "canceled_at": moment(obj.get("canceled_at")),
        "ended_at": moment(obj.get("ended_at")),
        "trial_end": moment(obj.get("trial_end")),
        "current_period_start": moment(start),
        "current_period_end": moment(end),
        "latest_invoice_id": object_id(obj.get("latest_invoice")),
        "items": [_item(item, obj) for item in items],
        "metadata": {k: v for k, v in metadata.items() if not k.startswith("lean_payments_")},
        "livemode": obj["livemode"],
    }


def _shown(items: list[dict[str, Any]], ordered: str | None) -> dict[str, Any]:
    """Return the item to show: that of the ordered product, else the oldest; the position says nothing."""
    known = [item for item in items if ordered and object_id(_price(item).get("product")) == ordered]
    return min(known or items, key=lambda item: (item.get("created") or 0, item.get("id") or ""), default={})


def _price(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = item.get("price") or item.get("plan") or {}
    return found


def _pause(obj: dict[str, Any]) -> dict[str, Any]:
    """Return a pause of collection, and why the status is `paused`.

    The one leaves the status as it is; the other has causes in `status_details.paused`
    (docs.stripe.com/billing/subscriptions/pause, docs.stripe.com/api/subscriptions/object).
    """
    pause = obj.get("pause_collection") or {}
    paused = (obj.get("status_details") or {}).get("paused") or {}
    cause = (paused.get("subscription") or {}).get("type") or paused.get("type")
    return {
        "pause_behavior": pause.get("behavior"),
        "pause_resumes_at": moment(pause.get("resumes_at")),
        "paused_reason": cause if obj["status"] == "paused" else None,
    }


def _items(obj: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items; the oldest shapes held one plan and its quantity instead (docs.stripe.com/upgrades)."""
    if "items" in obj:
        found: list[dict[str, Any]] = obj["items"]["data"]
        return found
    return [{"id": None, "plan": obj.get("plan"), "quantity": obj.get("quantity")}]


def _item(item: dict[str, Any], obj: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of an item, in JSON types; before `basil` the period was the subscription's."""
    price = _price(item)
    return {
        "id": item.get("id"),
        "price_id": price.get("id"),
        "product_id": object_id(price.get("product")),
        "quantity": item.get("quantity"),
        "current_period_start": item.get("current_period_start") or obj.get("current_period_start"),
        "current_period_end": item.get("current_period_end") or obj.get("current_period_end"),
    }


def client_secret(obj: dict[str, Any]) -> tuple[str | None, ClientSecretKind | None]:
    """Return the secret that the customer's client needs, and for what.

    docs.stripe.com/billing/subscriptions/overview: `latest_invoice.confirmation_secret` for the first payment,
    `pending_setup_intent` when nothing is due now.
    """
    if obj["status"] == "incomplete" and isinstance(invoice := obj.get("latest_invoice"), dict):
        secret = (invoice.get("confirmation_secret") or {}).get("client_secret")
        if secret:
            return secret, "payment"
    if isinstance(setup := obj.get("pending_setup_intent"), dict) and setup.get("client_secret"):
        return setup["client_secret"], "setup"
    return None, None
