"""Reads the feed: from a place on, with filters, each event made of the outbox's row and the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.errors import NotFound
from payment_service.feed import store
from payment_service.feed.errors import CursorExpired, CursorUnknown
from payment_service.feed.events import id_of, make_event
from payment_service.feed.faults import Faults
from payment_service.feed.history import read_history
from payment_service.feed.schemas import LATEST, FeedEvent, FeedPage, place_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.feed.events import Made
    from payment_service.feed.filters import Filters
    from payment_service.feed.store import Place
    from payment_service.storage.database import Database

WINDOW: Final = 5_000
"""Places that one request looks at at most, however few of them pass its filters."""


class Read(NamedTuple):
    """What was read."""

    page: FeedPage
    until: int
    """The last place that was looked at."""


class Feed:
    """The events of one Stripe account and mode."""

    def __init__(self, database: Database, *, livemode: bool) -> None:
        self._database = database
        self._livemode = livemode
        self._faults = Faults()

    async def page(self, *, after: str | None, filters: Filters, limit: int) -> Read:
        """Return events behind a place: an id, `latest`, or None for the oldest that is kept.

        Raises:
            CursorExpired: events behind the place were removed.
            CursorUnknown: the place is not of this feed.
            Unprocessable: there is no such type.
        """
        removed = True
        async with self._database.read() as connection:
            while removed:  # when retention went past the place before the page was read, that may lack events
                last = await store.last_sequence(connection)
                start = await _start(connection, after, last=last)
                found = await self.read(connection, start=start, last=last, filters=filters, limit=limit)
                removed = _is_removed(start, first=await store.first_kept(connection), last=last)
                if removed and after is not None:
                    detail = "Events behind this one were removed: read the objects anew, and begin without after"
                    raise CursorExpired(detail)
        if found.page.next is None and after != LATEST:
            found.page.next = after  # of the last event, which is kept no more
        return found

    async def read(self, connection: AsyncConnection, *, start: int, last: int, filters: Filters, limit: int) -> Read:
        """Return events behind a place that is known to be of this feed."""
        names = None if filters.object_id is None else await store.names_of(connection, filters.object_id)
        until = last if names else min(last, start + WINDOW)
        found = await store.places(
            connection,
            after=start,
            until=until,
            limit=limit + 1,
            object_types=filters.object_types,
            object_ids=names,
        )
        rows, more = found[:limit], len(found) > limit
        until = rows[-1].sequence if more else until
        made = await self._make(connection, rows)
        events = [one.event for one in made if self._passes(one, filters)]
        edge = rows[-1] if more else await store.place_at(connection, until)
        cursor = None if edge is None else id_of(edge)
        return Read(FeedPage(data=events, has_more=until < last, next=cursor), until)

    async def at(self, connection: AsyncConnection, sequences: Collection[int]) -> dict[int, FeedEvent]:
        """Return the events at these places that are kept, by place."""
        made = await self._make(connection, await store.places_at(connection, sequences))
        return {one.event.sequence: one.event for one in made}

    async def get(self, wanted: str) -> FeedEvent:
        """Return one event.

        Raises:
            NotFound: there is none, or it is kept no more.
        """
        async with self._database.read() as connection:
            row = await store.place_at(connection, place_of(wanted))
            if row is not None and id_of(row) == wanted:
                (made,) = await self._make(connection, [row])
                if made.event.livemode == self._livemode:
                    return made.event
        raise NotFound(f"There is no event {wanted}, or it is no longer kept")

    async def _make(self, connection: AsyncConnection, rows: Sequence[Place]) -> list[Made]:
        """Return the events of some rows."""
        if not rows:
            return []
        history = await read_history(connection, rows)
        made = [make_event(row, history, livemode=self._livemode) for row in rows]
        for one in made:
            self._faults.report(one)
        return made

    def _passes(self, made: Made, filters: Filters) -> bool:
        wanted = filters.wants(made.event.type, object_type=made.object_type, certain=made.certain)
        return wanted and made.event.livemode == self._livemode


async def _start(connection: AsyncConnection, after: str | None, *, last: int) -> int:
    """Return the place behind which to begin."""
    if after == LATEST:
        return last
    if after is None:
        first = await store.first_kept(connection)
        return last if first is None else first - 1
    place = place_of(after)
    if place > last:
        raise _unknown()
    row = await store.place_at(connection, place)
    if row is not None and id_of(row) != after:
        raise _unknown()
    return place


def _is_removed(place: int, *, first: int | None, last: int) -> bool:
    """Tell whether events behind a place were removed, of which the first that is kept has this number."""
    return place < (last if first is None else first - 1)


def _unknown() -> CursorUnknown:
    detail = "The database was restored since, so events may be missing: read the objects anew, and begin without after"
    return CursorUnknown(detail)
