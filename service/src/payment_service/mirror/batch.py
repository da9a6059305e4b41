"""Writes what many events show of objects of one kind: one read with locks, decisions in Python, one write.

What several events show of one object is folded in their order. Each is decided on by itself, as if it had been written
alone, and each that changes the state is told in the outbox with its own before and after; only the row is written
once, as the last one leaves it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from payment_service.storage.changed_rows import note
from payment_service.storage.mirror import NeedsFetch, newest, to_json
from payment_service.storage.statements import InsertRows, LockRows, WriteRows
from payment_service.storage.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.mirror.kind import Kind, Told
    from payment_service.storage.mirror import State
    from payment_service.storage.rows import Values, WholeRow

    StateOf = Callable[[Told, Values | None], State]

_ATTEMPTS = 2
"""The second one finds the rows that other transactions were first to insert."""
_OUTBOX = InsertRows(outbox, ("object_type", "object_id", "before", "after", "cause", "created_at"))


class RowTaken(Exception):
    """A new row has a value that is unique, and another row has it: of another object."""


class Folded(NamedTuple):
    """What several events make of one row."""

    row: WholeRow | None
    """The whole row as it is to be written; None: it stays as it is."""
    taken: int
    """How many of the events were: from the next on, only the present object tells."""
    changes: list[dict[str, object]]
    """Rows of the outbox."""


class Written(NamedTuple):
    """What a batch wrote."""

    taken: dict[str, int]
    """By object: how many of its events were taken over."""
    changes: list[dict[str, object]]
    """Rows of the outbox, to be written after those of the objects: what is personal is parted by these."""


def fold(kind: Kind, stored: Values | None, told: Sequence[Told], state_of: StateOf) -> Folded:
    """Decide what becomes of a row when events show its object one after the other. Pure."""
    row = stored
    changes: list[dict[str, object]] = []
    for number, one in enumerate(told):
        try:
            change = newest(row, state_of(one, row), provenance=one.provenance, course=kind.course)
        except NeedsFetch:
            return Folded(None if row is stored else dict(row or {}), number, changes)
        if change is None:
            continue
        row = {**(row or dict.fromkeys(kind.table.c.keys())), **change.values, kind.key: one.id}
        if change.after:
            changes.append(
                {
                    "object_type": kind.table.name,
                    "object_id": one.id,
                    "before": to_json(change.before),
                    "after": to_json(change.after),
                    "cause": one.provenance.cause,
                    "created_at": one.provenance.now,
                }
            )
    return Folded(None if row is stored else dict(row or {}), len(told), changes)


async def write_batch(connection: AsyncConnection, kind: Kind, told: Mapping[str, Sequence[Told]]) -> Written:
    """Write what events show of objects, by the objects' ids, the events of each in their order.

    Raises:
        RowTaken: see there.
    """
    locking, writing = _statements(kind.table, kind.key)
    written, left = Written({}, []), dict(told)
    for _ in range(_ATTEMPTS):
        rows = await locking.run(connection, sorted(left))
        state_of = await kind.plan(connection, left, rows)
        folded = {name: fold(kind, rows.get(name), several, state_of) for name, several in left.items()}
        changed = [found.row for _, found in sorted(folded.items()) if found.row is not None]
        done = await writing.run(connection, changed, locked=rows.keys()) if changed else set()
        for row in changed:
            if row[kind.key] in done:
                note(connection, kind.table.name, row["id"])
        for name, found in folded.items():
            if found.row is None or name in done:
                written.taken[name] = found.taken
                written.changes.extend(found.changes)
                del left[name]
        if not left:
            return written
    raise RowTaken


async def write_changes(connection: AsyncConnection, changes: Sequence[Mapping[str, object]]) -> None:
    """Append to the outbox."""
    if changes:
        await _OUTBOX.run(connection, changes)


@cache
def _statements(table: Table, key: str) -> tuple[LockRows, WriteRows]:
    """Build the statements once: that takes as long as a database takes to run them."""
    return LockRows(table, table.c[key]), WriteRows(table, table.c[key])
