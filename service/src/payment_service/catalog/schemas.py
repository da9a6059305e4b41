"""What the API says of prices."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from payment_service.catalog import shapes
from payment_service.storage.mirror import object_id
from payment_service.stripe_api.objects import check

_DELETED_PRICE: Final[dict[str, Any]] = {"lookup_key": None, "active": False, "metadata": {}, "deleted": True}
"""What is left of a deleted price beside what never changes, however much of it was seen before."""


class PriceView(msgspec.Struct, kw_only=True):
    """A price of Stripe's catalogue. Amounts are integers in the currency's minor unit."""

    id: str
    """Stripe's id."""
    product_id: str
    """Stripe's id of its product."""
    lookup_key: str | None
    """The price's name that you may move to another price; null without one."""
    currency: str
    """Three letters of ISO 4217, in lower case."""
    unit_amount: int | None
    """For one unit; null for tiered prices and those of fractions."""
    recurring_interval: Annotated[str, Meta(extra_json_schema={"enum": ["day", "week", "month", "year"]})] | None
    """`day`, `week`, `month` or `year`; null: paid once."""
    interval_count: int | None
    """Intervals between two invoices; null: paid once."""
    metered: bool
    """Billed by reported usage: an order of it has no quantity."""
    active: bool
    """Whether it can be ordered."""
    livemode: bool
    """Whether it is of Stripe's live mode."""


class PriceList(msgspec.Struct, kw_only=True):
    """A page of prices."""

    data: list[PriceView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""


def price_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe price (docs.stripe.com/api/prices/object).

    Raises:
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    if obj.get("deleted") and "product" not in obj:  # a thin event tells no more
        check(obj, shapes.DeletedPrice)
        return _DELETED_PRICE | {"livemode": obj["livemode"]}
    check(obj, shapes.Price)
    recurring = obj.get("recurring") or {}
    columns = {
        "product_id": object_id(obj["product"]),
        "lookup_key": obj.get("lookup_key"),
        "currency": obj["currency"],
        "unit_amount": obj.get("unit_amount"),
        "recurring_interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "metered": recurring.get("usage_type") == "metered",
        "active": obj["active"],
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
        "deleted": False,
    }
    return columns | _DELETED_PRICE if obj.get("deleted") else columns


def product_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the mirrored columns of a Stripe product (docs.stripe.com/api/products/object).

    Raises:
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    check(obj, shapes.Product)
    if obj.get("deleted"):
        return {"name": None, "active": False, "metadata": {}, "livemode": obj["livemode"], "deleted": True}
    return {
        "name": obj.get("name"),
        "active": bool(obj.get("active")),
        "metadata": dict(obj.get("metadata") or {}),
        "livemode": obj["livemode"],
        "deleted": False,
    }
