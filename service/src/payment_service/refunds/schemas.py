"""What the API takes and says of refunds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_service.customers.schemas import Metadata
from payment_service.http.id_types import InvoiceId, PaymentId

Reason = Literal["duplicate", "fraudulent", "requested_by_customer"]
"""docs.stripe.com/api/refunds/create#create_refund-reason."""
Amount = Annotated[int, Meta(ge=1, le=999_999_999_999)]
"""Minor units, of twelve digits at most (docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""


class CreateRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be given back."""

    payment_id: PaymentId | None = None
    """Stripe's id of the payment (`pi_…`) or of its charge (`ch_…`, `py_…`); this or `invoice_id`."""
    invoice_id: InvoiceId | None = None
    """Stripe's id of an invoice (`in_…`) that one payment paid; this or `payment_id`."""
    amount: Amount | None = None
    """In the currency's minor unit, at most what is left of the payment; absent: all that is left."""
    reason: Reason | None = None
    """Why; `fraudulent` adds card and address to Stripe's block lists."""
    metadata: Metadata = {}
    """Yours; at most 40 keys. Kept at Stripe, on the refund."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        if (self.payment_id is None) == (self.invoice_id is None):
            raise ValueError("payment_id: give exactly one of payment_id and invoice_id")


class RefundView(msgspec.Struct, kw_only=True):
    """A refund."""

    id: str
    """Stripe's id."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    created_at: datetime
    """When it was created."""
    status: str | None
    """In Stripe's words: `succeeded`, `pending` or `requires_action` (it takes days), `failed` (the money came back),
    `canceled`; null without one."""
    currency: str | None
    """Three letters of ISO 4217, in lower case; null without one."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""
    charge_id: str | None
    """Stripe's id of the charge; null without one."""
    payment_intent_id: str | None
    """Stripe's id of the payment; null without one."""
    amount: int
    """What is given back."""
    reason: str | None
    """Why, in Stripe's words; null without one."""
    failure_reason: str | None
    """Why it failed; null without one."""
