"""Checkout sessions (docs.stripe.com/api/checkout/sessions/object)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Text

from payment_service.mirror.kind import Columns, Kind, ends
from payment_service.mirror.payment import PERSONAL, PaymentShape, amount, payment_table
from payment_service.mirror.person import named_in
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.mirror import moment
from payment_service.stripe_api.objects import Id, Integer, Seconds, id_of

checkout_sessions = payment_table(
    "checkout_sessions",
    Column("stripe_customer_id", Text),
    Column("mode", Text),
    Column("payment_status", Text),
    Column("payment_intent_id", Text),
    Column("setup_intent_id", Text),
    Column("stripe_subscription_id", Text),
    Column("invoice_id", Text),
    Column("client_reference_id", Text),
    amount("amount_total", nullable=True),
    Column("expires_at", UtcDateTime),
    Index("ix_checkout_sessions_stripe_customer_id", "stripe_customer_id"),
)


class CheckoutSession(PaymentShape, kw_only=True):
    """What is read of one."""

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

    def columns(self) -> Columns:
        """Return what the row holds; `status` came in 2021, before, a paid session was a complete one."""
        done = self.payment_status in {"paid", "no_payment_required"}
        return self.shared_columns() | {
            "status": self.status or ("complete" if done else "open"),
            "stripe_customer_id": id_of(self.customer),
            "mode": self.mode,
            "payment_status": self.payment_status,
            "payment_intent_id": id_of(self.payment_intent),
            "setup_intent_id": id_of(self.setup_intent),
            "stripe_subscription_id": id_of(self.subscription),
            "invoice_id": id_of(self.invoice),
            "client_reference_id": self.client_reference_id,
            "amount_total": self.amount_total,
            "expires_at": moment(self.expires_at),
        }


KIND: Final = Kind(
    name="checkout.session",
    collection="checkout/sessions",
    table=checkout_sessions,
    shape=CheckoutSession,
    events=(
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
        "checkout.session.expired",
    ),
    ended=ends("complete", "expired"),
    of_person=named_in(checkout_sessions),
    personal={**PERSONAL, "client_reference_id": None},
)
