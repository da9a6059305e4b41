"""Disputes (docs.stripe.com/api/disputes/object)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import Column

from payment_service.mirror.kind import Columns, Kind, Reference, ends
from payment_service.mirror.payment import PERSONAL
from payment_service.mirror.reversal import Reversal, of_person, reversal_table
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.mirror import moment
from payment_service.stripe_api.objects import Seconds, read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject

disputes = reversal_table("disputes", Column("evidence_due_by", UtcDateTime))


class EvidenceDetails(Struct):
    """By when evidence is due."""

    due_by: Seconds | None = None


class Dispute(Reversal, kw_only=True):
    """What is read of one."""

    evidence_details: EvidenceDetails | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        due_by = self.evidence_details.due_by if self.evidence_details else None
        return self.shared_columns() | {"evidence_due_by": moment(due_by)}


def _disputed(obj: JsonObject) -> Reference | None:
    """Return the charge, which is marked as disputed."""
    return read(obj, Dispute).of_charge()


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
    of_person=of_person(disputes),
    personal=PERSONAL,
)
