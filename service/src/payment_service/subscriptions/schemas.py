"""What the API takes and says of subscriptions, and how Stripe's object becomes a row."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from payment_service.customers.schemas import Email, Metadata, Text
from payment_service.platform.mirroring import moment, object_id

ClientSecretKind = Literal["payment", "setup"]
SubscriptionStatus = Literal[
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"
]
"""docs.stripe.com/api/subscriptions/object#subscription_object-status."""
MAXIMUM_TRIAL_DAYS = 730
"""Stripe's limit of two years (docs.stripe.com/api/subscriptions/create#create_subscription-trial_period_days)."""


class CreateSubscription(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new subscription: a price, a customer, and how it is paid."""

    price_id: Text | None = None
    """Stripe's price id; this or `lookup_key`."""
    lookup_key: Text | None = None
    """The price's lookup key; this or `price_id`."""
    customer_id: Text | None = None
    """Our id (`lpc_…`) or Stripe's (`cus_…`); one of the three ways to name the customer."""
    customer_reference: Text | None = None
    """The caller's own id of the customer: found, or created with `email` and `name`."""
    email: Email | None = None
    """Alone: the customer with this address that this API made, or a new one."""
    name: Text | None = None
    quantity: Annotated[int, Meta(ge=1, le=999_999)] = 1
    payment_method_id: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_]+$")] | None = None
    """Charged at once; without it the answer holds a client secret to confirm with."""
    trial_days: Annotated[int, Meta(ge=1, le=MAXIMUM_TRIAL_DAYS)] | None = None
    metadata: Metadata = {}
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


class CancelSubscription(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the subscription ends."""

    at_period_end: bool = True
    """With its period (true), or now (false)."""


class SubscriptionView(msgspec.Struct, kw_only=True):
    """A subscription as last heard from Stripe."""

    id: str
    stripe_subscription_id: str | None
    customer_id: str | None
    stripe_customer_id: str | None
    price_id: str
    product_id: str
    quantity: int
    status: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    latest_invoice_id: str | None
    metadata: dict[str, str]
    livemode: bool
    created_at: datetime


class CreatedSubscription(msgspec.Struct, kw_only=True):
    """The answer to create-subscription."""

    id: str
    stripe_subscription_id: str
    customer_id: str
    status: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    client_secret: str | None
    """For Stripe.js when the customer must act."""
    client_secret_kind: ClientSecretKind | None
    """`payment`: confirm the first payment; `setup`: store a payment method for later."""
    latest_invoice_id: str | None
    livemode: bool
    created_at: datetime


class SubscriptionList(msgspec.Struct, kw_only=True):
    """A page of subscriptions, newest first."""

    data: list[SubscriptionView]
    has_more: bool


def subscription_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe subscription, in any shape from before `basil` on.

    Since 2025-03-31.basil the period stands on the items (docs.stripe.com/changelog/basil/2025-03-31).
    """
    items = _items(obj)
    first = items[0] if items else {}
    price = first.get("price") or first.get("plan") or {}
    start = first.get("current_period_start") or obj.get("current_period_start")
    ends = [item["current_period_end"] for item in items if item.get("current_period_end")]
    end = max(ends) if ends else obj.get("current_period_end")
    metadata = obj.get("metadata") or {}
    return {
        "stripe_customer_id": object_id(obj["customer"]),
        "product_id": object_id(price.get("product")) or "",
        "price_id": price.get("id") or "",
        "quantity": first.get("quantity") or 1,
        "status": obj["status"],
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


def _items(obj: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items; the oldest shapes held one plan and its quantity instead (docs.stripe.com/upgrades)."""
    if "items" in obj:
        found: list[dict[str, Any]] = obj["items"]["data"]
        return found
    return [{"id": None, "plan": obj.get("plan"), "quantity": obj.get("quantity")}]


def _item(item: dict[str, Any], obj: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of an item, in JSON types; before `basil` the period was the subscription's."""
    price = item.get("price") or item.get("plan") or {}
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
