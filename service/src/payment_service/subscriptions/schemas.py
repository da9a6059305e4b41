"""What the API takes and says of subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from payment_service.customers.schemas import Email, Metadata, Text
from payment_service.http.id_types import CustomerId, PaymentMethodId, PriceId

ClientSecretKind = Literal["payment", "setup"]
SubscriptionStatus = Literal[
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"
]
"""docs.stripe.com/api/subscriptions/object#subscription_object-status."""
StatusAtStripe = Annotated[str, Meta(extra_json_schema={"enum": list(get_args(SubscriptionStatus))})]
"""What Stripe says is passed on as it is; the document names what it says today."""
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
    """Charged at once; of a new customer also the default of its invoices from then on. Without it the answer holds a
    client secret to confirm with."""
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

    @property
    def address_alone(self) -> str | None:
        """The address where nothing else names the customer."""
        return self.email if self.customer_id is None and self.customer_reference is None else None


class CancelSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the subscription ends."""

    at_period_end: bool = True
    """With its period (true), or now (false)."""
    prorate: bool = False
    """Whether a last invoice gives back what is left of the period, as the customer's credit, and settles what was not
    invoiced yet, as parts of periods that waited for the next invoice. Only now: a period that ends leaves nothing."""

    def __post_init__(self) -> None:
        """Check what spans fields."""
        if self.prorate and self.at_period_end:
            raise ValueError("prorate: it goes with at_period_end: false; a period that ends leaves nothing over")


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
