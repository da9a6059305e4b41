"""`ON CONFLICT` and `RETURNING`, which PostgreSQL and SQLite have alike; each statement is built once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import delete, tuple_, update

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.statements import ChangeRows, InsertNew, RemoveRows, Upsert


class OnConflict:
    """Runs the statements.

    Args:
        insert: SQLAlchemy's `insert` of the dialect.
    """

    def __init__(self, insert: Callable[..., Any]) -> None:
        self._insert = insert
        self._built: WeakKeyDictionary[InsertNew | Upsert | ChangeRows | RemoveRows, Any] = WeakKeyDictionary()

    async def insert_new(
        self, connection: AsyncConnection, statement: InsertNew, values: Mapping[str, Any]
    ) -> Row[Any] | None:
        """Insert a row and return it; None when a unique constraint holds one like it already."""
        found: Row[Any] | None = (await connection.execute(self.insertion(statement), values)).first()
        return found

    async def put(self, connection: AsyncConnection, statement: Upsert, values: Mapping[str, Any]) -> Row[Any] | None:
        """Insert or change a row; return it when the statement returns anything and something was written."""
        result = await connection.execute(self.upsert(statement), values)
        return result.first() if statement.returning else None

    async def put_all(self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert or change rows."""
        await connection.execute(self.upsert(statement), list(rows))

    async def change(
        self, connection: AsyncConnection, statement: ChangeRows, values: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """Change rows, and return them as they are then."""
        return (await connection.execute(self.change_of(statement), values)).all()

    async def remove(self, connection: AsyncConnection, statement: RemoveRows, values: Mapping[str, Any]) -> int:
        """Remove rows, and return how many."""
        return (await connection.execute(self.removal(statement), values)).rowcount

    def insertion(self, statement: InsertNew) -> Any:
        """Return the statement that inserts or does nothing."""
        if statement not in self._built:
            self._built[statement] = self._insertion(statement)
        return self._built[statement]

    def upsert(self, statement: Upsert) -> Any:
        """Return the statement that inserts or changes."""
        if statement not in self._built:
            self._built[statement] = self._upsert(statement)
        return self._built[statement]

    def change_of(self, statement: ChangeRows) -> Any:
        """Return the statement that changes."""
        if statement not in self._built:
            chosen = () if statement.chosen is None else (_key(statement.table).in_(statement.chosen),)
            changed = update(statement.table).where(*statement.where, *chosen).values(dict(statement.values))
            self._built[statement] = changed.returning(*statement.returning)
        return self._built[statement]

    def removal(self, statement: RemoveRows) -> Any:
        """Return the statement that removes."""
        if statement not in self._built:
            chosen = _key(statement.table).in_(statement.chosen)
            self._built[statement] = delete(statement.table).where(*statement.where, chosen)
        return self._built[statement]

    def _insertion(self, statement: InsertNew) -> Any:
        inserted = self._insert(statement.table)
        if statement.source is not None:
            inserted = inserted.from_select(statement.names, statement.source)
        return inserted.on_conflict_do_nothing().returning(*statement.returning)

    def _upsert(self, statement: Upsert) -> Any:
        inserted = self._insert(statement.table)
        changed = inserted.on_conflict_do_update(
            index_elements=list(statement.key),
            set_={name: inserted.excluded[name] for name in statement.changed},
            where=statement.when(inserted.excluded) if statement.when else None,
        )
        return changed.returning(*statement.returning) if statement.returning else changed


def _key(table: Table) -> Any:
    """Return the primary key, or a tuple of its columns."""
    keys = tuple(table.primary_key)
    return keys[0] if len(keys) == 1 else tuple_(*keys)
