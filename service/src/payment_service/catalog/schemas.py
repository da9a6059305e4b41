"""What the API says of prices."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


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
