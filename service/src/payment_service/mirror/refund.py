"""Refunds (docs.stripe.com/api/refunds/object)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Index, Text

from payment_service.mirror import charge
from payment_service.mirror.kind import Columns, Kind, Reference, ends
from payment_service.mirror.payment import PERSONAL, PaymentShape, amount, payment_table
from payment_service.mirror.person import named_in, through
from payment_service.stripe_api.objects import Id, Integer, id_of, read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject

_GIVEN_BACK: Final = ("failed", "canceled")

refunds = payment_table(
    "refunds",
    Column("charge_id", Text),
    Column("payment_intent_id", Text),
    amount("amount"),
    Column("reason", Text),
    Column("failure_reason", Text),
    Index("ix_refunds_charge_id", "charge_id"),
)


class Refund(PaymentShape, kw_only=True):
    """What is read of one."""

    amount: Integer
    charge: Id | None = None
    payment_intent: Id | None = None
    reason: str | None = None
    failure_reason: str | None = None

    def columns(self) -> Columns:
        """Return what the row holds; the oldest refunds had no status."""
        return self.shared_columns() | {
            "status": self.status or "succeeded",
            "charge_id": id_of(self.charge),
            "payment_intent_id": id_of(self.payment_intent),
            "amount": self.amount,
            "reason": self.reason,
            "failure_reason": self.failure_reason,
        }


def _given_back(obj: JsonObject) -> Reference | None:
    """Return the charge, which gets its refunded amount back when a refund fails."""
    shown = read(obj, Refund)
    found = id_of(shown.charge) if shown.status in _GIVEN_BACK else None
    return None if found is None else Reference(charge.KIND.name, found)


KIND: Final = Kind(
    name="refund",
    collection="refunds",
    table=refunds,
    shape=Refund,
    events=(
        "refund.created",
        "refund.failed",
        "refund.updated",
    ),
    ended=ends("failed", "canceled"),
    silent_change=_given_back,
    of_person=through(refunds.c.charge_id, charge.charges, named_in(charge.charges)),
    personal=PERSONAL,
)
