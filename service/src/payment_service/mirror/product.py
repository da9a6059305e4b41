"""Products (docs.stripe.com/api/products/object)."""

from __future__ import annotations

from typing import Final

from payment_service.mirror.kind import DELETED, Columns, Kind, Shape
from payment_service.storage.tables import products
from payment_service.stripe_api.objects import Metadata


class Product(Shape, kw_only=True):
    """What is read of one."""

    name: str | None = None
    active: bool | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None

    def columns(self) -> Columns:
        """Return what the row holds."""
        if self.deleted:
            return {"name": None, "active": False, "metadata": {}, "livemode": self.livemode, "deleted": True}
        return {
            "name": self.name,
            "active": bool(self.active),
            "metadata": self.metadata or {},
            "livemode": self.livemode,
            "deleted": False,
        }


KIND: Final = Kind(
    name="product",
    collection="products",
    table=products,
    shape=Product,
    events=(
        "product.created",
        "product.deleted",
        "product.updated",
    ),
    deletion="product.deleted",
    ended=DELETED,
    of_person=None,
)
