"""What the API says of prices."""

from __future__ import annotations

from typing import Any

import msgspec


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
    product = obj["product"]
    recurring = obj.get("recurring") or {}
    return {
        "product_id": product if isinstance(product, str) else product["id"],
        "lookup_key": obj.get("lookup_key"),
        "currency": obj["currency"],
        "unit_amount": obj.get("unit_amount"),
        "recurring_interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "active": obj["active"],
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
        "deleted": bool(obj.get("deleted")),
    }


def product_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe product (docs.stripe.com/api/products/object)."""
    return {
        "name": obj.get("name"),
        "active": bool(obj.get("active")),
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
        "deleted": bool(obj.get("deleted")),
    }
