"""What is read of Stripe's customers (`stripe_api/objects.py`)."""

from __future__ import annotations

from msgspec import Struct

from payment_service.stripe_api.objects import Metadata, Name, Seconds


class Customer(Struct):
    """docs.stripe.com/api/customers/object."""

    livemode: bool
    email: Name | None = None
    name: str | None = None
    created: Seconds | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None
