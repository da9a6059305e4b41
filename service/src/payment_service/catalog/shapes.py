"""What is read of Stripe's products and prices (`stripe_api/objects.py`)."""

from __future__ import annotations

from msgspec import Struct

from payment_service.stripe_api.objects import Id, Integer, Metadata, Name, Seconds, Small


class Product(Struct):
    """docs.stripe.com/api/products/object."""

    livemode: bool
    name: str | None = None
    active: bool | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None


class Recurring(Struct):
    """How a price recurs."""

    interval: str | None = None
    interval_count: Small | None = None
    usage_type: str | None = None


class DeletedPrice(Struct):
    """What a thin event tells of one."""

    livemode: bool


class Price(Struct):
    """docs.stripe.com/api/prices/object."""

    livemode: bool
    product: Id
    currency: str
    active: bool
    lookup_key: Name | None = None
    unit_amount: Integer | None = None
    recurring: Recurring | None = None
    created: Seconds | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None
