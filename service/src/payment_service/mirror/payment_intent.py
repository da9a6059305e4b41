"""Payment intents (docs.stripe.com/api/payment_intents/object)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from sqlalchemy import Column, Index, Text

from payment_service.mirror.intent import Failure, IntentShape, error_code
from payment_service.mirror.kind import Columns, Kind, ends
from payment_service.mirror.payment import PERSONAL, amount, payment_table
from payment_service.mirror.person import named_in
from payment_service.stripe_api.objects import Id, Integer, Name, id_of

payment_intents = payment_table(
    "payment_intents",
    Column("stripe_customer_id", Text),
    amount("amount"),
    amount("amount_received"),
    Column("payment_method_id", Text),
    Column("latest_charge_id", Text),
    Column("cancellation_reason", Text),
    Column("last_error_code", Text),
    Index("ix_payment_intents_stripe_customer_id", "stripe_customer_id"),
)


class EmbeddedCharge(Struct):
    """A charge within an intent of old."""

    id: Name | None = None


class EmbeddedCharges(Struct):
    """The charges of an intent before 2022-11-15, newest first."""

    data: list[EmbeddedCharge] | None = None


class PaymentIntent(IntentShape, kw_only=True):
    """What is read of one."""

    amount: Integer
    amount_received: Integer | None = None
    source: Id | None = None
    latest_charge: Id | None = None
    charges: EmbeddedCharges | None = None
    last_payment_error: Failure | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        embedded = self.charges.data if self.charges is not None else None
        newest = embedded[0].id if embedded else None
        return {
            "stripe_customer_id": id_of(self.customer),
            "amount": self.amount,
            "amount_received": self.amount_received or 0,
            "payment_method_id": id_of(self.payment_method or self.source),
            "latest_charge_id": id_of(self.latest_charge or newest),
            "cancellation_reason": self.cancellation_reason,
            "last_error_code": error_code(self.last_payment_error),
            **self.shared_columns(),
        }


KIND: Final = Kind(
    name="payment_intent",
    collection="payment_intents",
    table=payment_intents,
    shape=PaymentIntent,
    events=(
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.created",
        "payment_intent.partially_funded",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
    ),
    ended=ends("succeeded", "canceled"),
    of_person=named_in(payment_intents),
    personal=PERSONAL,
    names=("payment_method_id",),
)
