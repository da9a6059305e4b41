"""What the API says of prices."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from payment_service.platform.mirroring import object_id

_DELETED_PRICE: Final[dict[str, Any]] = {"lookup_key": None, "active": False, "metadata": {}, "deleted": True}
"""What is left of a deleted price beside what never changes, however much of it was seen before."""


class PriceView(msgspec.Struct, kw_only=True):
    """A price of Stripe's catalogue. Amounts are integers in the currency's minor unit."""

    id: str
    product_id: str
    lookup_key: str | None
    currency: str
    unit_amount: int | None
    recurring_interval: str | None
    interval_count: int | None
    active: bool
    livemode: bool


class PriceList(msgspec.Struct, kw_only=True):
    """A page of prices."""

    data: list[PriceView]
    has_more: bool


def price_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe price (docs.stripe.com/api/prices/object)."""
    recurring = obj.get("recurring") or {}
    columns = {
        "product_id": object_id(obj["product"]),
        "lookup_key": obj.get("lookup_key"),
        "currency": obj["currency"],
        "unit_amount": obj.get("unit_amount"),
        "recurring_interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "active": obj["active"],
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
        "deleted": False,
    }
    return columns | _DELETED_PRICE if obj.get("deleted") else columns


def product_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe product (docs.stripe.com/api/products/object)."""
    if obj.get("deleted"):
        return {"name": None, "active": False, "metadata": {}, "livemode": obj["livemode"], "deleted": True}
    return {
        "name": obj.get("name"),
        "active": bool(obj.get("active")),
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
        "deleted": False,
    }
