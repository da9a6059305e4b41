"""Prices (docs.stripe.com/api/prices/object)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from payment_service.mirror.kind import DELETED, Columns, Kind, Shape
from payment_service.storage.tables import prices
from payment_service.stripe_api.objects import Id, Integer, Metadata, Name, Seconds, Small, id_of

_DELETED_PRICE: Final[Columns] = {"lookup_key": None, "active": False, "metadata": {}, "deleted": True}
"""What is left of a deleted price beside what never changes, however much of it was seen before."""


class Recurring(Struct):
    """How a price recurs."""

    interval: str | None = None
    interval_count: Small | None = None
    usage_type: str | None = None


class Price(Shape, kw_only=True):
    """What is read of one."""

    product: Id
    currency: str
    active: bool
    lookup_key: Name | None = None
    unit_amount: Integer | None = None
    recurring: Recurring | None = None
    created: Seconds | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        recurring = self.recurring or Recurring()
        columns: Columns = {
            "product_id": id_of(self.product),
            "lookup_key": self.lookup_key,
            "currency": self.currency,
            "unit_amount": self.unit_amount,
            "recurring_interval": recurring.interval,
            "interval_count": recurring.interval_count,
            "metered": recurring.usage_type == "metered",
            "active": self.active,
            "metadata": self.metadata or {},
            "livemode": self.livemode,
            "deleted": False,
        }
        return columns | _DELETED_PRICE if self.deleted else columns


KIND: Final = Kind(
    name="price",
    collection="prices",
    table=prices,
    shape=Price,
    events=(
        "price.created",
        "price.deleted",
        "price.updated",
    ),
    deletion="price.deleted",
    left=_DELETED_PRICE,
    ended=DELETED,
    of_person=None,
)
