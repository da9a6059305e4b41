"""Batches of rows in one statement each: an array for every column, and the driver's own values.

For a row of thirty columns SQLAlchemy's compiled statements and results cost three times what PostgreSQL does.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import JSON

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Column, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.rows import WholeRow
    from payment_service.storage.statements import InsertRows, LockRows, WriteRows

_DRIVER: Final = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's own is not typed
_TO_JSON: Final = msgspec.json.Encoder()


class PostgreSQLBatches:
    """Reads and writes many rows at once."""

    async def lock_rows(
        self, connection: AsyncConnection, statement: LockRows, keys: Sequence[str]
    ) -> dict[str, WholeRow]:
        """Lock rows in the order of their keys, and return them by key."""
        names, _ = _columns(statement.table)
        found = await connection.exec_driver_sql(_locking(statement.table, statement.key), (list(keys),))
        rows = (dict(zip(names, row, strict=True)) for row in found)
        return {row[statement.key.name]: row for row in rows}

    async def write_rows(
        self,
        connection: AsyncConnection,
        statement: WriteRows,
        rows: Sequence[Mapping[str, object]],
        *,
        locked: Collection[str],
    ) -> set[str]:
        """Change the locked rows and insert the others, and return the keys of those that were written."""
        names, nested = _columns(statement.table)
        values = (*_arrays(rows, names, nested), list(locked))
        written = await connection.exec_driver_sql(_writing(statement.table, statement.key), values)
        return set(written.scalars())

    async def insert_rows(
        self, connection: AsyncConnection, statement: InsertRows, rows: Sequence[Mapping[str, object]]
    ) -> None:
        """Insert rows in their order."""
        _, nested = _columns(statement.table)
        values = tuple(_arrays(rows, statement.names, nested))
        await connection.exec_driver_sql(_insertion(statement.table, statement.names), values)


def _arrays(rows: Sequence[Mapping[str, object]], names: Iterable[str], nested: frozenset[str]) -> Iterable[list[Any]]:
    """Return each column's values."""
    for name in names:
        values = [row[name] for row in rows]
        if name in nested:
            values = [None if value is None else _TO_JSON.encode(value).decode() for value in values]
        yield values


@cache
def _columns(table: Table) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of all columns, and of those that hold JSON."""
    return tuple(table.c.keys()), frozenset(column.name for column in table.c if isinstance(column.type, JSON))


@cache
def _locking(table: Table, key: Column[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in _columns(table)[0])
    return f'SELECT {listed} FROM "{table.name}" WHERE "{key.name}" = ANY ($1) ORDER BY "{key.name}" FOR UPDATE'  # noqa: S608 - names of ours


@cache
def _writing(table: Table, key: Column[str]) -> str:
    """Write the statement; a row that was not locked and is there all the same is another transaction's."""
    names, _ = _columns(table)
    kept = {key.name, *table.primary_key.columns.keys()}
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in kept)
    return (
        f'{_insertion(table, names)} ON CONFLICT ("{key.name}") DO UPDATE SET {changed}'
        f' WHERE "{table.name}"."{key.name}" = ANY (${len(names) + 1}::text[]) RETURNING "{key.name}"'
    )


@cache
def _insertion(table: Table, names: tuple[str, ...]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    kinds = (table.c[name].type.compile(dialect=_DRIVER) for name in names)
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, start=1))
    return f'INSERT INTO "{table.name}" ({listed}) SELECT * FROM unnest({arrays})'  # noqa: S608 - names of ours
