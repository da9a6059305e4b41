"""What the API takes and says of customers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]], Meta(max_length=40)
]
"""Stripe's limits are 50 keys of 40 and values of 500 characters (docs.stripe.com/api/metadata); ten keys are ours."""


class CreateCustomer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new customer."""

    email: Email | None = None
    name: Text | None = None
    reference: Text | None = None
    """The caller's own id; unique."""
    metadata: Metadata = {}


class CustomerView(msgspec.Struct, kw_only=True):
    """A customer."""

    id: str
    stripe_customer_id: str | None
    reference: str | None
    email: str | None
    name: str | None
    metadata: dict[str, str]
    livemode: bool
    created_at: datetime


def customer_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe customer (docs.stripe.com/api/customers/object).

    Of a deleted one nothing personal stays, as at Stripe.
    """
    if obj.get("deleted"):
        return {"email": None, "name": None, "metadata": {}, "livemode": obj["livemode"], "deleted": True}
    return {
        "email": obj.get("email"),
        "name": obj.get("name"),
        "metadata": {k: v for k, v in (obj.get("metadata") or {}).items() if not k.startswith("lean_payments_")},
        "livemode": obj["livemode"],
        "deleted": False,
    }
