"""Batches of rows in statements that every database understands, where nothing of its own is faster."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from payment_service.storage.expressions import Among

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Column, Insert, Select, Table, Update
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.rows import Values, WholeRow
    from payment_service.storage.statements import InsertNew, InsertRows, LockRows, WriteRows


class RowByRow:
    """Writes one row after the other."""

    async def insert_new(self, connection: AsyncConnection, statement: InsertNew, values: Values) -> Row[Any] | None:
        """Insert a row and return it; None when a unique constraint holds one like it already."""
        raise NotImplementedError

    async def lock_rows(
        self, connection: AsyncConnection, statement: LockRows, keys: Sequence[str]
    ) -> dict[str, WholeRow]:
        """Lock rows in the order of their keys, and return them by key."""
        found = await connection.execute(_locking(statement.table, statement.key), {"keys": list(keys)})
        return {row[statement.key.name]: dict(row) for row in found.mappings()}

    async def write_rows(
        self,
        connection: AsyncConnection,
        statement: WriteRows,
        rows: Sequence[Mapping[str, object]],
        *,
        locked: Collection[str],
    ) -> set[str]:
        """Change the locked rows and insert the others, and return the keys of those that were written."""
        name = statement.key.name
        written: set[str] = set()
        for row in rows:
            if row[name] in locked:
                values = {f"v_{column}": value for column, value in row.items()}
                await connection.execute(_change(statement.table, statement.key), values)
            elif await self.insert_new(connection, statement.insertion, row) is None:
                continue
            written.add(str(row[name]))
        return written

    async def insert_rows(
        self, connection: AsyncConnection, statement: InsertRows, rows: Sequence[Mapping[str, object]]
    ) -> None:
        """Insert rows in their order."""
        await connection.execute(_insert(statement.table), list(rows))


@cache
def _insert(table: Table) -> Insert:
    return insert(table)


@cache
def _locking(table: Table, key: Column[str]) -> Select[*tuple[object, ...]]:
    return select(table).where(Among(key, "keys")).order_by(key).with_for_update()


@cache
def _change(table: Table, key: Column[str]) -> Update:
    values: dict[str, object] = {column.name: bindparam(f"v_{column.name}") for column in table.c if column is not key}
    return update(table).where(key == bindparam(f"v_{key.name}")).values(values)
