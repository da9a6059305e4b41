"""What the API takes and says of customers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from payment_service.http.id_types import EMAIL, LINE, METADATA_KEY

Text = Annotated[str, Meta(min_length=1, max_length=255, pattern=LINE)]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=EMAIL)]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40, pattern=METADATA_KEY)],
        Annotated[str, Meta(min_length=1, max_length=500)],
    ],
    Meta(max_length=40),
]
"""Stripe's limits are 50 keys of 40 and values of 500 characters (docs.stripe.com/api/metadata); ten keys are ours. An
empty value is none there: Stripe leaves its key out."""


class CreateCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new customer."""

    email: Email | None = None
    """Where Stripe sends receipts and invoices."""
    name: Text | None = None
    """Full name, or that of the company."""
    reference: Text | None = None
    """The caller's own id; unique."""
    metadata: Metadata = {}
    """Yours; at most 40 keys. Kept at Stripe."""


class CustomerView(msgspec.Struct, kw_only=True):
    """A customer."""

    id: str
    """Our id."""
    stripe_customer_id: str | None
    """Stripe's id; null until Stripe has answered."""
    reference: str | None
    """Your own id of the customer; null without one."""
    email: str | None
    """Address, as at Stripe; null without one."""
    name: str | None
    """Name, as at Stripe; null without one."""
    default_payment_method_id: str | None
    """Stripe's id of what invoices are paid with where a subscription names no other; null without one."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    created_at: datetime
    """When it was created."""


class CustomerList(msgspec.Struct, kw_only=True):
    """A page of customers, newest first."""

    data: list[CustomerView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""
