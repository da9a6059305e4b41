"""What is read of Stripe's subscriptions, of shapes from before 2025-03-31.basil too (`stripe_api/objects.py`)."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from payment_service.stripe_api.objects import Id, Integer, Metadata, Name, Seconds


class PriceOfItem(Struct):
    """A price, or a plan of old."""

    id: Name | None = None
    product: Id | None = None


class SubscriptionItem(Struct):
    """docs.stripe.com/api/subscription_items/object."""

    id: str | None = None
    price: PriceOfItem | None = None
    plan: PriceOfItem | None = None
    quantity: Integer | None = None
    created: Seconds | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None


class SubscriptionItems(Struct):
    """A list of items, not always whole."""

    data: list[SubscriptionItem]
    has_more: bool | None = None


class PauseOfCollection(Struct):
    """docs.stripe.com/billing/subscriptions/pause."""

    behavior: str | None = None
    resumes_at: Seconds | None = None


class CauseOfPause(Struct):
    """Why a subscription is paused."""

    type: str | None = None


class Paused(Struct):
    """Which cause it is, and that."""

    type: str | None = None
    subscription: CauseOfPause | None = None


class StatusDetails(Struct):
    """Beside the status."""

    paused: Paused | None = None


class Subscription(Struct):
    """docs.stripe.com/api/subscriptions/object."""

    livemode: bool
    customer: Id
    status: str
    items: SubscriptionItems = msgspec.field(default_factory=lambda: SubscriptionItems([]))
    plan: PriceOfItem | None = None
    quantity: Integer | None = None
    pause_collection: PauseOfCollection | None = None
    status_details: StatusDetails | None = None
    latest_invoice: Id | None = None
    cancel_at_period_end: bool | None = None
    cancel_at: Seconds | None = None
    canceled_at: Seconds | None = None
    ended_at: Seconds | None = None
    trial_end: Seconds | None = None
    created: Seconds | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None
    metadata: Metadata | None = None
