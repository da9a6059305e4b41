"""`INSERT … ON CONFLICT … RETURNING`, which PostgreSQL and SQLite have alike; each statement is built once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.statements import InsertNew, Upsert


class OnConflict:
    """Runs the statements.

    Args:
        insert: SQLAlchemy's `insert` of the dialect.
    """

    def __init__(self, insert: Callable[..., Any]) -> None:
        self._insert = insert
        self._built: dict[InsertNew | Upsert, Any] = {}

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
