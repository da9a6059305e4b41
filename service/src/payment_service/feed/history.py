"""What is known of the objects of a page since its first row: objects are read first, then what was told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from payment_service.feed import store
from payment_service.feed.kinds import BY_OBJECT_TYPE
from payment_service.feed.states import Change, changes, holes, present, state_at
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.feed.catalogue import EventKind
    from payment_service.feed.states import State, ToldChange
    from payment_service.feed.store import Name, Place


class History(NamedTuple):
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


async def read_history(connection: AsyncConnection, rows: Sequence[Place]) -> History:
    """Read what the events of some rows are made of, at least one row.

    Where something cannot be read, all that is kept of its object is read: an earlier row may say what it was, and an
    event is the same on whichever page it comes.
    """
    wanted = {(row.object_type, row.object_id) for row in rows}
    states = await store.objects(connection, wanted)
    states |= await store.objects(connection, _customers_of(states))
    called: dict[Name, str] = {name: name[1] for name in wanted}
    called |= {name: str(state["id"]) for name, state in states.items()}
    now = {(name[0], called[name]): _present(name[0], state) for name, state in states.items()}
    told = await store.changes_of(connection, called, since=min(row.seq for row in rows))
    made = {name: _changes(name[0], now.get(name), changed) for name, changed in told.items()}
    if doubtful := {name for name, found in made.items() if holes(found.values())}:
        names = {name: one for name, one in called.items() if (name[0], one) in doubtful}
        told = await store.changes_of(connection, names, since=0)
        made |= {name: _changes(name[0], now.get(name), changed) for name, changed in told.items()}
    return History(called, now, made)


def _customers_of(states: Mapping[Name, State]) -> set[Name]:
    """Return the names of the customers whose rows views read too."""
    columns = {name: BY_OBJECT_TYPE[name[0]].customer for name in states}
    found = {states[name][column] for name, column in columns.items() if column is not None}
    return {(customers.name, str(stripe_id)) for stripe_id in found if stripe_id is not None}


def _present(object_type: str, state: State) -> State:
    table = BY_OBJECT_TYPE[object_type].table
    return state if table is None else present(table, state)


def _changes(object_type: str, now: State | None, told: Sequence[ToldChange]) -> Mapping[int, Change]:
    kind = BY_OBJECT_TYPE.get(object_type)
    if kind is None or kind.table is None:
        return {one.seq: Change(None, one.after if isinstance(one.after, dict) else None) for one in told}
    return changes(kind.table, now=now, told=told)
