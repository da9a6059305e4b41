"""Refunds (docs.stripe.com/api/refunds/object)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Text

from payment_service.mirror.kind import Columns, Kind, Reference, ends
from payment_service.mirror.payment import PERSONAL
from payment_service.mirror.reversal import Reversal, of_person, reversal_table
from payment_service.stripe_api.objects import read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject

_GIVEN_BACK: Final = ("failed", "canceled")

refunds = reversal_table("refunds", Column("failure_reason", Text))


class Refund(Reversal, kw_only=True):
    """What is read of one."""

    failure_reason: str | None = None

    def columns(self) -> Columns:
        """Return what the row holds; the oldest refunds had no status."""
        own = {"status": self.status or "succeeded", "failure_reason": self.failure_reason}
        return self.shared_columns() | own


def _given_back(obj: JsonObject) -> Reference | None:
    """Return the charge, which gets its refunded amount back when a refund fails."""
    shown = read(obj, Refund)
    return shown.of_charge() if shown.status in _GIVEN_BACK else None


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
    of_person=of_person(refunds),
    personal=PERSONAL,
)
