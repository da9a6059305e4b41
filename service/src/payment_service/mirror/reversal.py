"""What refunds and disputes have in common: money of a charge that goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, Index, Text

from payment_service.mirror import charge
from payment_service.mirror.kind import Columns, Reference
from payment_service.mirror.payment import PaymentShape, amount, payment_table
from payment_service.mirror.person import named_in, through
from payment_service.stripe_api.objects import Id, Integer, id_of

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.schema import SchemaItem

    from payment_service.mirror.person import OfPerson


class Reversal(PaymentShape, kw_only=True):
    """The members that both have."""

    amount: Integer
    charge: Id | None = None
    payment_intent: Id | None = None
    reason: str | None = None

    def shared_columns(self) -> Columns:
        """Return the columns that both have."""
        return super().shared_columns() | {
            "charge_id": id_of(self.charge),
            "payment_intent_id": id_of(self.payment_intent),
            "amount": self.amount,
            "reason": self.reason,
        }

    def of_charge(self) -> Reference | None:
        """Name the charge, which changes with it without an event of its own."""
        found = id_of(self.charge)
        return None if found is None else Reference(charge.KIND.name, found)


def reversal_table(name: str, *columns: SchemaItem) -> Table:
    """Describe a table with the columns that both have."""
    return payment_table(
        name,
        Column("charge_id", Text),
        Column("payment_intent_id", Text),
        amount("amount"),
        Column("reason", Text),
        *columns,
        Index(f"ix_{name}_charge_id", "charge_id"),
    )


def of_person(table: Table) -> OfPerson:
    """Return the condition of a person's rows: those of its charges."""
    return through(table.c.charge_id, charge.charges, named_in(charge.charges))
