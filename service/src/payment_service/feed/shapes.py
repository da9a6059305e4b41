"""How objects that no route answers yet are told of: the shape that their routes are to have.

Members without a value are null. Amounts are integers in the currency's minor unit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

DISABLED: Final = "webhook_endpoint.disabled"
"""The outbox's name of what rows about webhook endpoints tell."""


class StripeObjectView(msgspec.Struct, kw_only=True):
    """What all of them say."""

    id: str
    """Stripe's id."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    created_at: datetime
    """When it was created."""


class ProductView(StripeObjectView, kw_only=True):
    """A product of Stripe's catalogue."""

    name: str | None
    """As customers see it; null for a deleted one."""
    active: bool
    """Whether it can be ordered."""
    deleted: bool
    """Whether it was deleted at Stripe."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""


class InvoiceView(StripeObjectView, kw_only=True):
    """An invoice."""

    status: str | None
    """`draft`, `open`, `paid`, `uncollectible`, `void` or `deleted`; null without one."""
    stripe_subscription_id: str | None
    """Stripe's id of its subscription; null without one."""
    stripe_customer_id: str | None
    """Stripe's id of the customer; null without one."""
    billing_reason: str | None
    """Why it was made, in Stripe's words, as `subscription_cycle`; null without one."""
    number: str | None
    """As printed; null for a draft."""
    currency: str
    """Three letters of ISO 4217, in lower case."""
    total: int | None
    """With discounts and taxes; null without one."""
    amount_due: int
    """What was to be paid when it was finalized."""
    amount_paid: int
    """What was paid."""
    amount_remaining: int | None
    """What is left to be paid; null without one."""
    attempt_count: int
    """How often payment was tried."""


class PaymentObjectView(StripeObjectView, kw_only=True):
    """What all objects of a payment say."""

    status: str | None
    """In Stripe's words; null without one."""
    currency: str | None
    """Three letters of ISO 4217, in lower case; null without one."""
    metadata: dict[str, str]
    """Yours, as at Stripe."""


class InvoicePaymentView(PaymentObjectView, kw_only=True):
    """A payment of an invoice."""

    invoice_id: str | None
    """Stripe's id of the invoice; null without one."""
    payment_intent_id: str | None
    """Stripe's id of the payment, if it was made by one; null without one."""
    charge_id: str | None
    """Stripe's id of the charge, if it was made by one alone; null without one."""
    amount_requested: int | None
    """What it was to pay; null without one."""
    amount_paid: int | None
    """What it paid; null without one."""
    is_default: bool
    """Whether Stripe itself made it for the invoice."""


class PaymentView(PaymentObjectView, kw_only=True):
    """A payment: what Stripe calls a payment intent."""

    stripe_customer_id: str | None
    """Stripe's id of the customer; null without one."""
    amount: int
    """What is to be paid."""
    amount_received: int
    """What was paid."""
    payment_method_id: str | None
    """Stripe's id of what it is paid with; null without one."""
    latest_charge_id: str | None
    """Stripe's id of the newest charge; null without one."""
    cancellation_reason: str | None
    """Why it was canceled; null without one."""
    last_error_code: str | None
    """Why the last try failed (docs.stripe.com/error-codes); null without one."""


class ChargeView(PaymentObjectView, kw_only=True):
    """A charge: one try of a payment."""

    stripe_customer_id: str | None
    """Stripe's id of the customer; null without one."""
    payment_intent_id: str | None
    """Stripe's id of its payment; null without one."""
    amount: int
    """What was to be paid."""
    amount_captured: int
    """What was taken."""
    amount_refunded: int
    """What was given back."""
    paid: bool
    """Whether it succeeded, or is authorized."""
    captured: bool
    """Whether the amount was taken, not authorized alone."""
    refunded: bool
    """Whether all of it was given back."""
    disputed: bool
    """Whether the customer disputed it."""
    failure_code: str | None
    """Why it failed (docs.stripe.com/error-codes); null without one."""


class DisputeView(PaymentObjectView, kw_only=True):
    """A dispute: the customer asked the bank for the money."""

    charge_id: str | None
    """Stripe's id of the charge; null without one."""
    payment_intent_id: str | None
    """Stripe's id of the payment; null without one."""
    amount: int
    """What is disputed."""
    reason: str | None
    """Why, in the bank's words; null without one."""
    evidence_due_by: datetime | None
    """Until when evidence can be given; null without one."""


class CheckoutSessionView(PaymentObjectView, kw_only=True):
    """A visit to Stripe's checkout page."""

    mode: str | None
    """`payment`, `setup` or `subscription`; null without one."""
    payment_status: str | None
    """`paid`, `unpaid` or `no_payment_required`; null without one."""
    stripe_customer_id: str | None
    """Stripe's id of the customer; null without one."""
    payment_intent_id: str | None
    """Stripe's id of the payment; null without one."""
    setup_intent_id: str | None
    """Stripe's id of the setting up of a payment method; null without one."""
    stripe_subscription_id: str | None
    """Stripe's id of the subscription that it made; null without one."""
    invoice_id: str | None
    """Stripe's id of the invoice; null without one."""
    client_reference_id: str | None
    """Your id of it; null without one."""
    amount_total: int | None
    """With discounts and taxes; null without one."""
    expires_at: datetime | None
    """When it can be used no more; null without one."""


class SubscriptionPairView(msgspec.Struct, kw_only=True):
    """Two live subscriptions of one person to one product."""

    id: str
    """Our id of the one that came to the product last."""
    stripe_subscription_id: str
    """Stripe's id of it."""
    stripe_customer_id: str
    """Stripe's id of its customer."""
    other_subscription_id: str
    """Our id of the other one."""
    other_stripe_subscription_id: str
    """Stripe's id of it."""
    other_stripe_customer_id: str
    """Stripe's id of its customer."""
    product_id: str
    """Stripe's id of the product."""


class DisabledEndpointView(msgspec.Struct, kw_only=True):
    """A webhook endpoint to which nothing is sent any more, though nobody has asked for that."""

    id: str
    """Our id of it (`lpw_…`)."""
    reason: str
    """`gone`: it answered 410; `failing`: nothing was delivered for five days."""
    failing_since: str | None
    """When the first of the failures was that no success came after; null without one."""


class OtherView(msgspec.Struct, kw_only=True):
    """An object that cannot be shown: what was written of it cannot be read, or another version wrote it."""

    id: str
    """Of the object: ours where it has one, else Stripe's. Read it by its route."""
    kind: str
    """How the types of its events begin, as `invoice`; another version's word for a kind that this one does not
    know."""
