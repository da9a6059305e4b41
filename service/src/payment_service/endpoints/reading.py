"""Reads the feed for one endpoint, and makes the events that are of no feed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.endpoints.audience import about
from payment_service.endpoints.filters import known_types, types_of_both
from payment_service.feed import store
from payment_service.feed.filters import Filters
from payment_service.feed.schemas import FeedCause, FeedData, FeedEvent

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import DeliveryRow, EndpointRow, ReplayRow
    from payment_service.feed.service import Feed

PAGE: Final = 100
"""Events that are looked at at once."""
PATIENCE: Final = timedelta(minutes=1)
"""For how long an event waits until its customer is known; then it is of none."""

log = structlog.get_logger("payments")


async def read_ahead(
    connection: AsyncConnection, feed: Feed, row: EndpointRow, *, last: int, now: datetime
) -> tuple[int, list[FeedEvent]]:
    """Return how far the feed was looked at, and what the endpoint wants of that.

    It is looked no further than to a new event of which is not known yet whether the endpoint wants it. What was
    removed since, as past its retention, is passed by, and so is what a restored database does not have.
    """
    first = await store.first_kept(connection)
    start = max(min(row.reached, last), last if first is None else first - 1)
    if start != row.reached:
        log.warning("webhooks_passed_by", endpoint=row.id, reached=row.reached, next=start + 1)
    types = known_types(row.event_types)
    if types is None:
        return last, []
    read = await feed.read(connection, start=start, last=last, filters=Filters(types=types), limit=PAGE)
    found = await about(connection, read.page.data, row=row)
    waits = found.undecided is not None and any(
        event.sequence == found.undecided and now - event.created_at < PATIENCE for event in read.page.data
    )
    if not waits:
        return read.until, found.events
    assert found.undecided is not None
    return found.undecided - 1, [event for event in found.events if event.sequence < found.undecided]


async def read_again(
    connection: AsyncConnection, feed: Feed, row: EndpointRow, replay: ReplayRow
) -> tuple[int, list[FeedEvent]]:
    """Return how far a replay has looked, and what of that is to be sent again; what is kept no more is passed by."""
    first, last = await store.first_kept(connection), replay.last_sequence
    start = max(replay.reached, last if first is None else first - 1)
    types = types_of_both(row.event_types, replay.event_types)
    if types is None or start >= last:
        return last, []
    read = await feed.read(connection, start=start, last=last, filters=Filters(types=types), limit=PAGE)
    return read.until, (await about(connection, read.page.data, row=row)).events


def made_test(row: DeliveryRow, *, livemode: bool) -> FeedEvent:
    """Return an event that says nothing but that it can be sent."""
    return FeedEvent(
        id=row.event_id,
        type=row.event_type,
        sequence=0,
        object_id=row.object_id,
        data=FeedData(object=None, previous=None),
        cause=FeedCause(type="other", id=None),
        created_at=row.created_at,
        livemode=livemode,
    )
