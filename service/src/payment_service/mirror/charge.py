"""Charges (docs.stripe.com/api/charges/object)."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, UnsetType
from sqlalchemy import Column, Index, Text

from payment_service.mirror.kind import Columns, Kind, ends
from payment_service.mirror.payment import PERSONAL, PaymentShape, amount, flag, payment_table
from payment_service.mirror.person import named_in
from payment_service.stripe_api.objects import Id, Integer, id_of

charges = payment_table(
    "charges",
    Column("stripe_customer_id", Text),
    Column("payment_intent_id", Text),
    amount("amount"),
    amount("amount_captured"),
    amount("amount_refunded"),
    flag("paid"),
    flag("captured"),
    flag("refunded"),
    flag("disputed"),
    Column("failure_code", Text),
    Index("ix_charges_stripe_customer_id", "stripe_customer_id"),
    Index("ix_charges_payment_intent_id", "payment_intent_id"),
)


class Charge(PaymentShape, kw_only=True):
    """What is read of one."""

    amount: Integer
    customer: Id | None = None
    payment_intent: Id | None = None
    amount_captured: Integer | None = None
    amount_refunded: Integer | None = None
    paid: bool | None = None
    captured: bool | None = True
    refunded: bool | None = None
    disputed: bool | UnsetType | None = UNSET
    dispute: Id | None = None
    failure_code: str | None = None

    def columns(self) -> Columns:
        """Return what the row holds.

        A refund that fails gives its amount back, so `refunded` is no end: the present charge decides.
        """
        taken = self.amount_captured
        return self.shared_columns() | {
            "stripe_customer_id": id_of(self.customer),
            "payment_intent_id": id_of(self.payment_intent),
            "status": "succeeded" if self.status == "paid" else self.status,
            "amount": self.amount,
            "amount_captured": (self.amount if self.captured else 0) if taken is None else taken,
            "amount_refunded": self.amount_refunded or 0,
            "paid": bool(self.paid),
            "captured": bool(self.captured),
            "refunded": bool(self.refunded),
            "disputed": self.dispute is not None if self.disputed is UNSET else bool(self.disputed),
            "failure_code": self.failure_code,
        }


KIND: Final = Kind(
    name="charge",
    collection="charges",
    table=charges,
    shape=Charge,
    events=(
        "charge.captured",
        "charge.expired",
        "charge.failed",
        "charge.pending",
        "charge.refunded",
        "charge.succeeded",
        "charge.updated",
    ),
    ended=ends("succeeded", "failed"),
    of_person=named_in(charges),
    personal=PERSONAL,
)
