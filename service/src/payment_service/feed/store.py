"""SQL of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, func, select

from payment_service.storage.feed_table import feed
from payment_service.storage.tables import outbox

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_OLDEST: Final = select(func.min(outbox.c.seq))
_TRIM: Final = delete(feed).where(
    feed.c.sequence.in_(select(feed.c.sequence).order_by(feed.c.sequence).limit(bindparam("limit"))),
    feed.c.outbox_seq < _OLDEST.scalar_subquery(),
)
"""The row of the highest number stays whatever goes, for there is nothing above it."""


async def trim(connection: AsyncConnection, *, limit: int) -> int:
    """Remove at most so many numbers of rows that are past their retention, and return how many."""
    return (await connection.execute(_TRIM, {"limit": limit})).rowcount
