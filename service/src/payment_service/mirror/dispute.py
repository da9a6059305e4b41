"""Disputes (docs.stripe.com/api/disputes/object)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import Column, Index, Text

from payment_service.mirror import charge
from payment_service.mirror.kind import Columns, Kind, Reference, ends
from payment_service.mirror.payment import PERSONAL, PaymentShape, amount, payment_table
from payment_service.mirror.person import named_in, through
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.mirror import moment
from payment_service.stripe_api.objects import Id, Integer, Seconds, id_of, read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject

disputes = payment_table(
    "disputes",
    Column("charge_id", Text),
    Column("payment_intent_id", Text),
    amount("amount"),
    Column("reason", Text),
    Column("evidence_due_by", UtcDateTime),
    Index("ix_disputes_charge_id", "charge_id"),
)


class EvidenceDetails(Struct):
    """By when evidence is due."""

    due_by: Seconds | None = None


class Dispute(PaymentShape, kw_only=True):
    """What is read of one."""

    amount: Integer
    charge: Id | None = None
    payment_intent: Id | None = None
    reason: str | None = None
    evidence_details: EvidenceDetails | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        return {
            "charge_id": id_of(self.charge),
            "payment_intent_id": id_of(self.payment_intent),
            "amount": self.amount,
            "reason": self.reason,
            "evidence_due_by": moment(self.evidence_details.due_by if self.evidence_details else None),
            **self.shared_columns(),
        }


def _disputed(obj: JsonObject) -> Reference | None:
    """Return the charge, which is marked as disputed without an event of its own."""
    found = id_of(read(obj, Dispute).charge)
    return None if found is None else Reference(charge.KIND.name, found)


KIND: Final = Kind(
    name="dispute",
    collection="disputes",
    table=disputes,
    shape=Dispute,
    events=(
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
    ),
    ended=ends("won", "lost"),
    silent_change=_disputed,
    of_person=through(disputes.c.charge_id, charge.charges, named_in(charge.charges)),
    personal=PERSONAL,
)
