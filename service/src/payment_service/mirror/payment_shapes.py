"""What is read of Stripe's invoices, payments, refunds, disputes and checkouts (`stripe_api/objects.py`)."""

from __future__ import annotations

from msgspec import Struct

from payment_service.stripe_api.objects import Id, Integer, Metadata, Name, Seconds, Small


class SubscriptionDetails(Struct):
    """Of which subscription an invoice is."""

    subscription: Id | None = None


class ParentOfInvoice(Struct):
    """What made an invoice."""

    subscription_details: SubscriptionDetails | None = None


class DeletedInvoice(Struct):
    """What a thin event tells of one."""

    livemode: bool


class Invoice(Struct):
    """docs.stripe.com/api/invoices/object."""

    livemode: bool
    currency: str
    parent: ParentOfInvoice | None = None
    subscription: Id | None = None
    customer: Id | None = None
    status: str | None = None
    paid: bool | None = None
    forgiven: bool | None = None
    closed: bool | None = None
    billing_reason: str | None = None
    amount_due: Integer | None = None
    amount_paid: Integer | None = None
    amount_remaining: Integer | None = None
    total: Integer | None = None
    attempt_count: Small | None = None
    number: str | None = None
    deleted: bool | None = None


class PaymentOfInvoice(Struct):
    """What pays an invoice."""

    payment_intent: Id | None = None
    charge: Id | None = None


class InvoicePayment(Struct):
    """docs.stripe.com/api/invoice-payment/object."""

    livemode: bool
    status: str | None = None
    currency: str | None = None
    invoice: Id | None = None
    payment: PaymentOfInvoice | None = None
    amount_requested: Integer | None = None
    amount_paid: Integer | None = None
    is_default: bool | None = None
    metadata: Metadata | None = None


class EmbeddedCharge(Struct):
    """A charge within an intent of old."""

    id: Name | None = None


class EmbeddedCharges(Struct):
    """The charges of an intent of old, newest first."""

    data: list[EmbeddedCharge] | None = None


class Failure(Struct):
    """docs.stripe.com/api/errors."""

    code: str | None = None
    decline_code: str | None = None


class PaymentIntent(Struct):
    """docs.stripe.com/api/payment_intents/object."""

    livemode: bool
    amount: Integer
    status: str | None = None
    currency: str | None = None
    customer: Id | None = None
    amount_received: Integer | None = None
    payment_method: Id | None = None
    source: Id | None = None
    latest_charge: Id | None = None
    charges: EmbeddedCharges | None = None
    cancellation_reason: str | None = None
    last_payment_error: Failure | None = None
    metadata: Metadata | None = None


class SetupIntent(Struct):
    """docs.stripe.com/api/setup_intents/object."""

    livemode: bool
    status: str | None = None
    currency: str | None = None
    customer: Id | None = None
    payment_method: Id | None = None
    usage: str | None = None
    cancellation_reason: str | None = None
    last_setup_error: Failure | None = None
    metadata: Metadata | None = None


class Charge(Struct):
    """docs.stripe.com/api/charges/object."""

    livemode: bool
    amount: Integer
    status: str | None = None
    currency: str | None = None
    customer: Id | None = None
    payment_intent: Id | None = None
    amount_captured: Integer | None = None
    amount_refunded: Integer | None = None
    paid: bool | None = None
    captured: bool | None = None
    refunded: bool | None = None
    disputed: bool | None = None
    dispute: Id | None = None
    failure_code: str | None = None
    metadata: Metadata | None = None


class Refund(Struct):
    """docs.stripe.com/api/refunds/object."""

    livemode: bool
    amount: Integer
    status: str | None = None
    currency: str | None = None
    charge: Id | None = None
    payment_intent: Id | None = None
    reason: str | None = None
    failure_reason: str | None = None
    metadata: Metadata | None = None


class EvidenceDetails(Struct):
    """By when evidence is due."""

    due_by: Seconds | None = None


class Dispute(Struct):
    """docs.stripe.com/api/disputes/object."""

    livemode: bool
    amount: Integer
    status: str | None = None
    currency: str | None = None
    charge: Id | None = None
    payment_intent: Id | None = None
    reason: str | None = None
    evidence_details: EvidenceDetails | None = None
    metadata: Metadata | None = None


class CheckoutSession(Struct):
    """docs.stripe.com/api/checkout/sessions/object."""

    livemode: bool
    status: str | None = None
    currency: str | None = None
    payment_status: str | None = None
    mode: str | None = None
    customer: Id | None = None
    payment_intent: Id | None = None
    setup_intent: Id | None = None
    subscription: Id | None = None
    invoice: Id | None = None
    client_reference_id: str | None = None
    amount_total: Integer | None = None
    expires_at: Seconds | None = None
    metadata: Metadata | None = None
