"""How rows that mirror Stripe's objects are written: newest state wins, changes go to the outbox.

Stripe promises neither order nor single delivery (docs.stripe.com/webhooks#event-ordering), and `created` of an event
counts whole seconds. So a snapshot is taken over only when it is known to be newer than what the row holds; on a tie or
an older one the caller fetches the present object from Stripe and writes that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Table, bindparam, insert, select

from payment_service.storage.changed_rows import note
from payment_service.storage.statements import ChangeRows, InsertNew
from payment_service.storage.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock

CLOCK_SECONDS: Final = 2
"""How far our clock may be behind Stripe's without harm."""
_OUTBOX: Final = insert(outbox)


class NeedsFetch(Exception):
    """The snapshot may be older than the row: fetch the present object from Stripe and write that."""


class Seen(NamedTuple):
    """What a row was before its object was fetched; writing is allowed only while it is still the same."""

    version: datetime | None
    """`updated_at`, or None while there was no row."""
    reach: int = 0
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


class Ended(NamedTuple):
    """Which values of a column an object never leaves again."""

    column: str
    values: frozenset[str | bool]


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


def created(obj: Mapping[str, Any], *, otherwise: datetime) -> datetime:
    """Return when Stripe made the object, by which lists are sorted; a deleted one does not say it."""
    return moment(obj.get("created")) or otherwise


async def write_outbox(
    connection: AsyncConnection,
    *,
    object_type: str,
    object_id: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
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


def to_json(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return `values` in JSON types: moments as RFC 3339."""
    if values is None:
        return None
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


async def mirror(
    connection: AsyncConnection,
    table: Table,
    *,
    key: Mapping[str, Any],
    columns: Mapping[str, Any],
    provenance: Provenance,
    insert_only: Mapping[str, Any] | None = None,
    update_only: Mapping[str, Any] | None = None,
    locked: Row[*tuple[object, ...]] | None = None,
    ended: Ended | None = None,
) -> Row[*tuple[object, ...]]:
    """Insert or update the row of a Stripe object, and return it.

    Args:
        connection: in a transaction.
        table: with the columns `stripe_updated`, `created_at`, `updated_at`.
        key: the columns that find the row.
        columns: the object's state.
        provenance: where the state comes from.
        insert_only: further columns of a new row; without `created_at` it counts as created now.
        update_only: columns of ours that a row known before gets anew; the outbox tells nothing of them.
        locked: the row, when the caller has read and locked it in this transaction.
        ended: the states that the row does not leave, whatever is written.

    Raises:
        NeedsFetch: a snapshot that is not newer than the row, or a row that changed since it was seen.
    """
    row = locked or await lock(connection, table, key)
    cause, as_of, now, seen = provenance
    reach = as_of if seen is None else max(as_of, seen.reach)
    if row is None:
        new = {"created_at": now, **columns, **(insert_only or {}), **key, "stripe_updated": reach, "updated_at": now}
        made = await _insert(table).run(connection, new)
        if made is not None:
            note(connection, table.name, made.id)
            await _append_to_outbox(connection, table, key, before=None, after=columns, cause=cause, now=now)
            return made
        row = await lock(connection, table, key)
        assert row is not None
    if (as_of <= row.stripe_updated) if seen is None else (row.updated_at != seen.version):
        raise NeedsFetch
    stored = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    if ended is not None and stored[ended.column] in ended.values and columns[ended.column] not in ended.values:
        if seen is None:
            raise NeedsFetch
        return row
    before = {name: stored[name] for name, value in columns.items() if stored[name] != value}
    values = {**columns, **(update_only or {}), "stripe_updated": max(reach, row.stripe_updated), "updated_at": now}
    parameters = {f"k_{name}": value for name, value in key.items()}
    parameters |= {f"v_{name}": value for name, value in values.items()}
    (updated,) = await _update(table, tuple(key), tuple(values)).run(connection, parameters)
    note(connection, table.name, updated.id)
    if before:
        after = {name: columns[name] for name in before}
        await _append_to_outbox(connection, table, key, before=before, after=after, cause=cause, now=now)
    return updated


def reach_of(clock: Clock) -> int:
    """Return the last second, in Stripe's time, that what is fetched from now on may tell of."""
    return int(clock.timestamp()) + CLOCK_SECONDS


async def see(connection: AsyncConnection, table: Table, key: Mapping[str, Any], *, reach: int = 0) -> Seen:
    """Note what the row is now, before its object is fetched."""
    row = (await connection.execute(select(table.c.updated_at).where(*_conditions(table, key)))).first()
    return Seen(None if row is None else row.updated_at, reach)


def _conditions(table: Table, key: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


async def lock(connection: AsyncConnection, table: Table, key: Mapping[str, Any]) -> Row[*tuple[object, ...]] | None:
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
    values: dict[str, Any] = {name: bindparam(f"v_{name}") for name in columns}
    return ChangeRows(table, values, returning=tuple(table.c), where=tuple(_bound(table, key)))


def _bound(table: Table, key: tuple[str, ...]) -> list[ColumnElement[bool]]:
    return [table.c[name] == bindparam(f"k_{name}") for name in key]


async def _append_to_outbox(
    connection: AsyncConnection,
    table: Table,
    key: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    cause: str,
    now: datetime,
) -> None:
    object_id = str(next(iter(key.values())))
    await write_outbox(
        connection, object_type=table.name, object_id=object_id, before=before, after=after, cause=cause, now=now
    )
