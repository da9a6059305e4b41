"""How rows that mirror Stripe's objects are written: newest state wins, changes go to the outbox.

Stripe promises neither order nor single delivery (docs.stripe.com/webhooks#event-ordering), and `created` of an event
counts whole seconds. So a snapshot is taken over only when it is known to be newer than what the row holds, and passed
over only when it is known to be none (`succession.py`); in doubt the caller fetches the present object from Stripe and
writes that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Table, bindparam, insert, select

from payment_service.storage.changed_rows import note
from payment_service.storage.statements import ChangeRows, InsertNew
from payment_service.storage.succession import FREE, Course, Moment, is_newer
from payment_service.storage.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.storage.rows import Values, WholeRow

CLOCK_SECONDS: Final = 2
"""How far our clock may be behind Stripe's without harm."""
_OUTBOX: Final = insert(outbox)


class NeedsFetch(Exception):
    """The snapshot may be older than the row: fetch the present object from Stripe and write that."""


class Seen(NamedTuple):
    """What a row was before its object was fetched; writing is allowed only while it is still the same."""

    version: datetime | None
    """`updated_at`, or None while there was no row."""
    reach: int
    """The last second, in Stripe's time, that the fetched state may already tell of."""


class Provenance(NamedTuple):
    """Where a state that is written comes from, and what it may overwrite."""

    cause: str
    """The id of the event or operation that brings it, or `fetch` or `import`; the outbox keeps it."""
    as_of: int
    """When it was so, in Stripe's seconds."""
    now: datetime
    """The present time."""
    seen: Seen | None = None
    """What the row was before the present state was fetched; None for a snapshot, of an event or of the answer to a
    call."""
    moment: Moment = Moment.SINCE
    """What `as_of` says of a snapshot."""

    @property
    def reach(self) -> int:
        """The last second that the state may already tell of; of a creation nothing that happened after it."""
        if self.seen is not None:
            return max(self.as_of, self.seen.reach)
        return self.as_of - (self.moment is Moment.FIRST)


class State(NamedTuple):
    """What a row is to hold of an object."""

    columns: Values
    """What Stripe says; the outbox tells its changes."""
    insert_only: Values = MappingProxyType({})
    """Further columns of a new row; without `created_at` it counts as created now."""
    update_only: Values = MappingProxyType({})
    """Columns of ours that a row known before gets anew."""


class Change(NamedTuple):
    """What becomes of a row."""

    values: WholeRow
    """The columns that are written."""
    before: Mapping[str, object] | None
    """What the outbox tells of the row before; None of a new one."""
    after: Mapping[str, object]
    """What the outbox tells of the row now; it tells nothing where nothing is."""


def object_id(value: Any) -> str | None:
    """Return the id of a field that holds an id or, expanded, the object (docs.stripe.com/api/expanding_objects)."""
    if value is None or isinstance(value, str):
        return value
    found: str = value["id"]
    return found


def moment(seconds: int | None) -> datetime | None:
    """Return the moment of a Unix timestamp.

    Raises:
        ValueError: it is beyond the years 1 to 9999; never OSError, which would say that the database is away.
    """
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("a time is out of range") from error


def created(obj: Values, *, otherwise: datetime) -> datetime:
    """Return when Stripe made the object, by which lists are sorted; a deleted one does not say it."""
    return moment(obj.get("created")) or otherwise


async def write_outbox(
    connection: AsyncConnection,
    *,
    object_type: str,
    object_id: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
    cause: str,
    now: datetime,
) -> None:
    """Append what changed, in the transaction of the change."""
    await connection.execute(
        _OUTBOX,
        {
            "object_type": object_type,
            "object_id": object_id,
            "before": to_json(before),
            "after": to_json(after),
            "cause": cause,
            "created_at": now,
        },
    )


def to_json(values: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return `values` in JSON types: moments as RFC 3339."""
    if values is None:
        return None
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def newest(stored: Values | None, state: State, *, provenance: Provenance, course: Course) -> Change | None:
    """Decide what becomes of a row when an object is shown. Pure.

    Args:
        stored: the row as it is; None: there is none.
        state: what it is to hold.
        provenance: where that comes from.
        course: what of the object never goes back, whatever is written.

    Returns:
        The change; None: the row stays as it is, for it shows this state, a newer one or the object's end.

    Raises:
        NeedsFetch: a snapshot that may or may not be newer than the row, or a row that changed since it was seen.
    """
    _, as_of, now, seen, moment = provenance
    columns, reach = state.columns, provenance.reach
    if stored is None:
        new = {"created_at": now, **columns, **state.insert_only, "stripe_updated": reach, "updated_at": now}
        return Change(new, None, columns)
    if seen is None:
        newer = is_newer(stored, columns, as_of=as_of, moment=moment, course=course)
        if newer is None:
            raise NeedsFetch
        if not newer:
            return None
    elif stored["updated_at"] != seen.version:
        raise NeedsFetch
    elif course.ended is not None and course.ended.covers(stored) and not course.ended.covers(columns):
        return None
    before = {name: stored[name] for name, value in columns.items() if stored[name] != value}
    values = {**columns, **state.update_only, "stripe_updated": max(reach, stored["stripe_updated"]), "updated_at": now}
    return Change(values, before, {name: columns[name] for name in before})


async def mirror(
    connection: AsyncConnection,
    table: Table,
    *,
    key: Mapping[str, object],
    state: State,
    provenance: Provenance,
    locked: Row[*tuple[object, ...]] | None = None,
    course: Course = FREE,
) -> Row[*tuple[object, ...]]:
    """Insert or update the row of one Stripe object, and return it; `mirror/batch.py` writes many.

    Args:
        connection: in a transaction.
        table: with the columns `stripe_updated`, `created_at`, `updated_at`.
        key: the columns that find the row.
        state: of the object.
        provenance: where it comes from.
        locked: the row, when the caller has read and locked it in this transaction.
        course: what of the object never goes back, whatever is written.

    Raises:
        NeedsFetch: see `newest`.
    """
    row = locked or await lock(connection, table, key)
    if row is None:
        change = newest(None, state, provenance=provenance, course=course)
        assert change is not None
        made = await _insert(table).run(connection, change.values | dict(key))
        if made is not None:
            await _record_change(connection, table, key, made, change, provenance=provenance)
            return made
        row = await lock(connection, table, key)
        assert row is not None
    stored = row._asdict()
    change = newest(stored, state, provenance=provenance, course=course)
    if change is None:
        return row
    parameters = {f"k_{name}": value for name, value in key.items()}
    parameters |= {f"v_{name}": value for name, value in change.values.items()}
    (updated,) = await _update(table, tuple(key), tuple(change.values)).run(connection, parameters)
    await _record_change(connection, table, key, updated, change, provenance=provenance)
    return updated


def reach_of(clock: Clock) -> int:
    """Return the last second, in Stripe's time, that what is fetched from now on may tell of."""
    return int(clock.timestamp()) + CLOCK_SECONDS


async def see(connection: AsyncConnection, table: Table, key: Mapping[str, object], *, reach: int) -> Seen:
    """Note what the row is now, before its object is fetched; `reach`: see `reach_of`."""
    row = (await connection.execute(select(table.c.updated_at).where(*_conditions(table, key)))).first()
    return Seen(None if row is None else row.updated_at, reach)


def _conditions(table: Table, key: Mapping[str, object]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


async def lock(connection: AsyncConnection, table: Table, key: Mapping[str, object]) -> Row[*tuple[object, ...]] | None:
    """Return the row, locked until the transaction ends."""
    parameters = {f"k_{name}": value for name, value in key.items()}
    row: Row[*tuple[object, ...]] | None = (
        await connection.execute(_select_locked(table, tuple(key)), parameters)
    ).first()
    return row


@cache
def _select_locked(table: Table, key: tuple[str, ...]) -> Select[Any]:
    return select(table).where(*_bound(table, key)).with_for_update()


@cache
def _insert(table: Table) -> InsertNew:
    return InsertNew(table, returning=tuple(table.c))


@cache
def _update(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> ChangeRows:
    """Build the statement once: that takes as long as PostgreSQL takes to run it."""
    values: WholeRow = {name: bindparam(f"v_{name}") for name in columns}
    return ChangeRows(table, values, returning=tuple(table.c), where=tuple(_bound(table, key)))


def _bound(table: Table, key: tuple[str, ...]) -> list[ColumnElement[bool]]:
    return [table.c[name] == bindparam(f"k_{name}") for name in key]


async def _record_change(
    connection: AsyncConnection,
    table: Table,
    key: Mapping[str, object],
    row: Row[*tuple[object, ...]],
    change: Change,
    *,
    provenance: Provenance,
) -> None:
    """Note a change, and append it to the outbox unless Stripe shows what was there."""
    note(connection, table.name, row.id)
    if not change.after:
        return
    await write_outbox(
        connection,
        object_type=table.name,
        object_id=str(next(iter(key.values()))),
        before=change.before,
        after=change.after,
        cause=provenance.cause,
        now=provenance.now,
    )
