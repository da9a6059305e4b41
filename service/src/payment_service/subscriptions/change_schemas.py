"""What the API takes and says of changes of subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from payment_service.customers.schemas import Text
from payment_service.http.id_types import PREVIEW, PriceId
from payment_service.subscriptions.schemas import SubscriptionView

ProrationBehavior = Literal["always_invoice", "create_prorations", "none"]
"""docs.stripe.com/api/subscriptions/update#update_subscription-proration_behavior."""
ChangeOutcome = Literal["applied", "requires_action", "requires_payment_method"]


class PreviewChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change of what is ordered: of the price, the quantity, or both."""

    price_id: PriceId | None = None
    """Stripe's id of the new price; without it and `lookup_key` the price stays."""
    lookup_key: Text | None = None
    """The new price's lookup key."""
    quantity: Annotated[int, Meta(ge=1, le=999_999)] | None = None
    """Seats or units from now on; without it their number stays."""
    proration_behavior: ProrationBehavior = "always_invoice"
    """What becomes of the rest of the period: `always_invoice` settles it now, `create_prorations` with the next
    invoice, `none` not at all. A price of another interval begins a new period, which is charged now."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        if self.price_id is not None and self.lookup_key is not None:
            raise ValueError("price_id: give at most one of price_id and lookup_key")
        if self.price_id is None and self.lookup_key is None and self.quantity is None:
            raise ValueError("price_id: give price_id, lookup_key or quantity: nothing would change")


class ChangeSubscription(PreviewChange, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change, as it was previewed or not."""

    preview: Annotated[str, Meta(max_length=80, pattern=PREVIEW)] | None = None
    """The `fingerprint` of a preview of this change: it is refused (409 `preview_outdated`) when another amount would
    be due now, and worked out for the same second. Without it whatever is due is charged."""


class PreviewLine(msgspec.Struct, kw_only=True):
    """A line of an invoice."""

    description: str | None
    """In words; null where Stripe has none."""
    amount: int
    """In minor units; below zero: a credit."""
    proration: bool
    """Whether it is for a part of a period."""
    price_id: str | None
    """Stripe's id of the price; null where Stripe names none."""
    quantity: int | None
    """Seats or units; null where Stripe names none."""
    period_start: datetime
    """Begin of what it is for."""
    period_end: datetime
    """End of it."""


class PreviewedInvoice(msgspec.Struct, kw_only=True):
    """An invoice as it would be."""

    total: int
    """Of all lines, with discounts and taxes, in minor units; below zero it becomes the customer's credit."""
    amount_due: int
    """What is charged, in minor units: the total less the customer's credit."""
    lines: list[PreviewLine]
    """Its lines, ten at most."""
    has_more_lines: bool
    """Whether it has more."""


class SubscriptionPreview(msgspec.Struct, kw_only=True):
    """What a change would come to."""

    fingerprint: str
    """Send it as `preview` with the change."""
    expires_at: datetime
    """Until when the change takes it."""
    subscription_id: str
    """Our id."""
    price_id: str
    """Stripe's id of the price after the change."""
    quantity: int | None
    """Seats or units after the change; null for a metered price."""
    proration_behavior: ProrationBehavior
    """As asked."""
    proration_date: datetime
    """To the second of which it was worked out."""
    currency: str
    """Of all amounts, as ISO 4217 writes it, in lower case."""
    due_now: int
    """What the change charges at once, in minor units."""
    invoice: PreviewedInvoice | None
    """The invoice that the change makes at once; null: it makes none."""
    next_invoice: PreviewedInvoice | None
    """The next one; null where it would be the second of a new interval."""


class PendingChange(msgspec.Struct, kw_only=True):
    """A change that waits for its payment."""

    price_id: str
    """Stripe's id of the price to come."""
    quantity: int | None
    """Seats or units to come; null for a metered price."""
    expires_at: datetime
    """Unless its invoice is paid until then, it is dropped."""


class ChangedSubscription(SubscriptionView, kw_only=True):
    """The subscription as it is in force after the call, and what became of the change."""

    outcome: ChangeOutcome
    """`applied`: it is in force. Else its invoice waits: `requires_action` for the customer's authentication,
    `requires_payment_method` for another card; the price and quantity of before stay in force until it is paid."""
    pending: PendingChange | None
    """What waits; null: nothing."""
    client_secret: str | None
    """For Stripe.js, with which the customer pays what waits; null: nothing waits."""
    decline_code: str | None
    """Why the bank refused the card; null: it did not, or does not say."""
