"""Reads the feed: from a place on, with filters, each event made of the outbox's row and the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.errors import NotFound, Unprocessable
from payment_service.feed import store
from payment_service.feed.catalogue import differing, shown
from payment_service.feed.errors import CursorExpired, CursorUnknown
from payment_service.feed.kinds import BY_OBJECT_TYPE
from payment_service.feed.schemas import LATEST, FeedCause, FeedData, FeedEvent, FeedPage, event_id, place_of
from payment_service.feed.states import Change, changes, state_at
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.feed.catalogue import EventKind, Shown
    from payment_service.feed.schemas import CauseType
    from payment_service.feed.states import State, ToldChange
    from payment_service.feed.store import Name, Place
    from payment_service.storage.database import Database

WINDOW: Final = 5_000
"""Places that one request looks at at most, however few of them pass its filters."""
OTHER: Final = "other.updated"
"""The type of what another version of this service wrote about a kind that this one does not know."""
_CAUSES: Final[dict[str, CauseType]] = {
    "lpo": "operation",
    "evt": "stripe_event",
    "rec": "reconciliation",
    "lps": "subscription",
}
_WORDS: Final[dict[str, CauseType]] = {"fetch": "fetch", "import": "import"}


class Filters(NamedTuple):
    """Which events are wanted."""

    types: tuple[str, ...] = ()
    """Of these types, or of those that begin as `invoice.*` says; empty: of any."""
    object_id: str | None = None
    """Of this object."""

    def wants(self, event_type: str) -> bool:
        """Tell whether a type passes."""
        return not self.types or any(_fits(event_type, wanted) for wanted in self.types)

    def object_types(self) -> list[str] | None:
        """Return the outbox's names of the kinds that have such types; None: of any.

        Raises:
            Unprocessable: there is no such type.
        """
        if not self.types:
            return None
        every = {
            name: [f"{kind.name}.{rule.type}" for rule in kind.all_rules()] for name, kind in BY_OBJECT_TYPE.items()
        }
        for wanted in self.types:
            if not any(_fits(known, wanted) for types in every.values() for known in types):
                message = f"there is no type {wanted}"
                raise Unprocessable(f"types: {message}", errors=[{"field": "types", "message": message}])
        return sorted(name for name, types in every.items() if any(self.wants(known) for known in types))


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

    async def page(self, *, after: str | None, filters: Filters, limit: int) -> Read:
        """Return events behind a place: an id, `latest`, or None for the oldest that is kept.

        Raises:
            CursorExpired: events behind the place were removed.
            CursorUnknown: the place is not of this feed.
            Unprocessable: there is no such type.
        """
        async with self._database.read() as connection:
            last = await store.last_sequence(connection)
            start = await _start(connection, after, last=last)
            return await self.read(connection, start=start, last=last, filters=filters, limit=limit)

    async def read(self, connection: AsyncConnection, *, start: int, last: int, filters: Filters, limit: int) -> Read:
        """Return events behind a place that is known to be of this feed."""
        names = None if filters.object_id is None else await store.names_of(connection, filters.object_id)
        until = last if names else min(last, start + WINDOW)
        found = await store.places(
            connection,
            after=start,
            until=until,
            limit=limit + 1,
            object_types=filters.object_types(),
            object_ids=names,
        )
        rows, more = found[:limit], len(found) > limit
        until = rows[-1].sequence if more else until
        events = [
            event for event in await _build(connection, rows, livemode=self._livemode) if self._passes(event, filters)
        ]
        edge = rows[-1] if more else await store.place_at(connection, until)
        cursor = None if edge is None else _id(edge)
        return Read(FeedPage(data=events, has_more=until < last, next=cursor), until)

    async def get(self, wanted: str) -> FeedEvent:
        """Return one event.

        Raises:
            NotFound: there is none, or it is kept no more.
        """
        async with self._database.read() as connection:
            row = await store.place_at(connection, place_of(wanted))
            if row is not None and _id(row) == wanted:
                (event,) = await _build(connection, [row], livemode=self._livemode)
                if event.livemode == self._livemode:
                    return event
        raise NotFound(f"There is no event {wanted}, or it is no longer kept")

    def _passes(self, event: FeedEvent, filters: Filters) -> bool:
        return event.livemode == self._livemode and filters.wants(event.type)


def _fits(event_type: str, wanted: str) -> bool:
    return event_type.startswith(wanted[:-1]) if wanted.endswith("*") else event_type == wanted


async def _start(connection: AsyncConnection, after: str | None, *, last: int) -> int:
    """Return the place behind which to begin."""
    first = await store.first_kept(connection)
    if after == LATEST:
        return last
    if after is None:
        return last if first is None else first - 1
    place = place_of(after)
    if place > last:
        raise _unknown()
    if first is None or place < first - 1:
        raise CursorExpired("Events behind this one were removed: read the objects anew, and begin without after")
    row = await store.place_at(connection, place)
    if row is not None and _id(row) != after:
        raise _unknown()
    return place


def _unknown() -> CursorUnknown:
    detail = "The database was restored since, so events may be missing: read the objects anew, and begin without after"
    return CursorUnknown(detail)


def _id(row: Place) -> str:
    return event_id(row.sequence, outbox_seq=row.seq, object_id=row.object_id, created_at=row.created_at)


async def _build(connection: AsyncConnection, rows: Sequence[Place], *, livemode: bool) -> list[FeedEvent]:
    """Return the events of some rows: objects are read first, then what was told of them since."""
    if not rows:
        return []
    wanted = {(row.object_type, row.object_id) for row in rows}
    states = await store.objects(connection, wanted)
    states |= await store.objects(connection, _customers_of(states))
    called: dict[Name, str] = {name: name[1] for name in wanted}
    called |= {name: str(state["id"]) for name, state in states.items()}
    told = await store.changes_of(connection, called, since=min(row.seq for row in rows))
    now = {(name[0], called[name]): state for name, state in states.items()}
    made = {named: _changes(named[0], now.get(named), changed) for named, changed in told.items()}
    history = _History(called, now, made)
    return [_event(row, history, livemode=livemode) for row in rows]


def _customers_of(states: Mapping[Name, State]) -> set[Name]:
    """Return the names of the customers whose rows views read too."""
    columns = {name: BY_OBJECT_TYPE[name[0]].customer for name in states}
    found = {states[name][column] for name, column in columns.items() if column is not None}
    return {(customers.name, str(stripe_id)) for stripe_id in found if stripe_id is not None}


def _changes(object_type: str, now: State | None, told: Sequence[ToldChange]) -> dict[int, Change]:
    kind = BY_OBJECT_TYPE.get(object_type)
    if kind is None or kind.table is None:
        return {one.seq: Change(one.before, one.after) for one in told}
    return changes(kind.table, now=now, told=told)


class _History(NamedTuple):
    """What is known of objects since the first row of a page."""

    called: Mapping[Name, str]
    """What each is called in what follows, by all of its names."""
    now: Mapping[Name, State]
    made: Mapping[Name, Mapping[int, Change]]

    def change(self, row: Place, kind: EventKind) -> Change:
        """Return the change that a row tells, each side with what the kind's view needs."""
        before, after = self.made.get(self._named(row.object_type, row.object_id), {}).get(row.seq, Change(None, None))
        if kind.table is None:
            return Change(None, {"id": row.object_id, **(after or {})})
        return kind.seen(Change(self._complete(row, kind, before), self._complete(row, kind, after)))

    def _complete(self, row: Place, kind: EventKind, state: State | None) -> State | None:
        """Return a state as of the time at which it was told, with its customer as that was then."""
        if state is None:
            return None
        customer = None if kind.customer is None else self._customer(state[kind.customer], at=row.seq)
        return {**state, "updated_at": row.created_at, "customer": customer}

    def _customer(self, stripe_id: object, *, at: int) -> State | None:
        named = self._named(customers.name, str(stripe_id))
        return state_at(at, now=self.now.get(named), made=self.made.get(named, {}))

    def _named(self, object_type: str, object_id: str) -> Name:
        return object_type, self.called.get((object_type, object_id), object_id)


def _event(row: Place, history: _History, *, livemode: bool) -> FeedEvent:
    kind = BY_OBJECT_TYPE.get(row.object_type)
    change = Change(None, None)
    before: Shown | None = None
    after: Shown | None = {"id": row.object_id}
    name = OTHER
    if kind is not None:
        change = history.change(row, kind)
        before, after = shown(kind, change.before), shown(kind, change.after)
        name = kind.type_of(change, cause=row.cause)
    return FeedEvent(
        id=_id(row),
        type=name,
        sequence=row.sequence,
        object_id=history.called[row.object_type, row.object_id],
        data=FeedData(object=after, previous=differing(before, after)),
        cause=_cause(row.cause),
        created_at=row.created_at,
        livemode=bool((change.after or change.before or {}).get("livemode", livemode)),
    )


def _cause(cause: str) -> FeedCause:
    if cause in _WORDS:
        return FeedCause(type=_WORDS[cause], id=None)
    return FeedCause(type=_CAUSES.get(cause.partition("_")[0], "stripe_event"), id=cause)
