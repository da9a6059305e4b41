"""What the kinds of objects have in common that money goes through: members, columns, what of them is personal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Boolean, Column, Table, Text, text

from payment_service.mirror.kind import Columns, Shape
from payment_service.storage.column_types import Json, UtcDateTime
from payment_service.storage.tables import metadata
from payment_service.stripe_api.objects import Metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.schema import SchemaItem

PERSONAL: Final[Mapping[str, object]] = {"metadata": {}}
"""The personal columns that all of them have, and what is left there of a person who is erased."""


class PaymentShape(Shape, kw_only=True):
    """The members that all of them have."""

    status: str | None = None
    currency: str | None = None
    metadata: Metadata | None = None

    def shared_columns(self) -> Columns:
        """Return the columns that all of them have."""
        return {
            "status": self.status,
            "currency": self.currency,
            "metadata": self.metadata or {},
            "livemode": self.livemode,
        }


def payment_table(name: str, *columns: SchemaItem) -> Table:
    """Describe a table with the columns that every mirrored object has; the rules: `storage/tables.py`."""
    return Table(
        name,
        metadata,
        Column("id", Text, primary_key=True, comment="Stripe's id"),
        Column("status", Text),
        Column("currency", Text),
        *columns,
        Column("metadata", Json, nullable=False),
        Column("livemode", Boolean, nullable=False),
        Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
    )


def amount(name: str, *, nullable: bool = False) -> Column[int]:
    """Describe a column of minor units."""
    return Column(name, BigInteger, nullable=nullable, comment="minor units")


def flag(name: str) -> Column[bool]:
    """Describe a column that is true or false."""
    return Column(name, Boolean, nullable=False)
