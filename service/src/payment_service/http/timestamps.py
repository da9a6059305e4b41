"""Moments that callers give, as RFC 3339 with an offset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

_EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
Moment = Annotated[datetime, Meta(tz=True)]


def check_moment(moment: datetime, *, field: str) -> None:
    """Refuse what no event of Stripe's can be; raises ValueError, which names the field."""
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError(f"{field}: give a moment between 2010 and 2200")
