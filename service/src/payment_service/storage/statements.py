"""Statements that each database words differently: what they are to do; how it is done stands in `dialects/`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, text

from payment_service.storage.dialects import dialect_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Select, Table
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.types import TypeEngine

    from payment_service.storage.rows import WholeRow


@dataclass(frozen=True, eq=False)
class InsertNew:
    """Inserts a row unless a unique constraint holds one like it already."""

    table: Table
    returning: tuple[Column[Any], ...]
    names: tuple[str, ...] = ()
    """The columns that `source` gives."""
    source: Select[Any] | None = None
    """Makes the row of the values; no row: nothing is inserted."""

    async def run(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Row[Any] | None:
        """Return what was inserted; None when there was one like it."""
        return await dialect_of(connection).insert_new(connection, self, values)


@dataclass(frozen=True, eq=False)
class Upsert:
    """Inserts a row, or changes the one with the same key."""

    table: Table
    key: tuple[Column[Any], ...]
    changed: tuple[str, ...]
    """The columns that a row which is there gets anew."""
    when: Callable[[Mapping[str, ColumnElement[Any]]], ColumnElement[bool]] | None = None
    """Of the new values: the condition on which such a row is changed."""
    returning: tuple[Column[Any], ...] = ()
    batch: tuple[str, ...] = ()
    """The columns that every row of a batch gives."""

    async def run(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Row[Any] | None:
        """Write one row; return what was written, if it returns anything."""
        return await dialect_of(connection).put(connection, self, values)

    async def run_all(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write several rows in the caller's transaction."""
        await dialect_of(connection).put_all(connection, self, rows)

    async def run_batch(self, connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of different keys in one statement and commit them."""
        await dialect_of(connection).put_batch(connection, self, rows)


@dataclass(frozen=True, eq=False)
class ChangeRows:
    """Changes rows and tells what they are then."""

    table: Table
    values: Mapping[str, Any]
    returning: tuple[Column[Any], ...]
    where: tuple[ColumnElement[bool], ...] = ()
    chosen: Select[Any] | None = None
    """Gives the primary keys of those rows, where a condition alone does not."""

    async def run(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Return the rows that were changed."""
        return await dialect_of(connection).change(connection, self, values)


@dataclass(frozen=True, eq=False)
class RemoveRows:
    """Removes some rows."""

    table: Table
    chosen: Select[Any]
    """Gives their primary keys."""
    where: tuple[ColumnElement[bool], ...] = ()
    """What must still be so when they are removed."""

    async def run(self, connection: AsyncConnection, values: Mapping[str, Any]) -> int:
        """Return how many were removed."""
        return await dialect_of(connection).remove(connection, self, values)


@dataclass(frozen=True, eq=False)
class LockRows:
    """Locks rows until the transaction ends, in the order of their keys, so that nobody waits in a circle."""

    table: Table
    key: Column[str]
    """Unique."""

    async def run(self, connection: AsyncConnection, keys: Sequence[str]) -> dict[str, WholeRow]:
        """Return the rows that there are, by key."""
        return await dialect_of(connection).lock_rows(connection, self, keys)


@dataclass(frozen=True, eq=False)
class WriteRows:
    """Inserts whole rows of different keys, and changes those that the caller has locked."""

    table: Table
    key: Column[str]
    """Unique."""

    @cached_property
    def insertion(self) -> InsertNew:
        """Inserts one of them."""
        return InsertNew(self.table, returning=(self.key,))

    async def run(
        self, connection: AsyncConnection, rows: Sequence[Mapping[str, object]], *, locked: Collection[str]
    ) -> set[str]:
        """Return the keys that were written: not those of new rows that another transaction was first to insert.

        Args:
            connection: in a transaction.
            rows: with a value for every column.
            locked: the keys of the rows that were there.
        """
        return await dialect_of(connection).write_rows(connection, self, rows, locked=locked)


@dataclass(frozen=True, eq=False)
class InsertRows:
    """Inserts rows in their order."""

    table: Table
    names: tuple[str, ...]
    """The columns that every row gives."""

    async def run(self, connection: AsyncConnection, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert them."""
        await dialect_of(connection).insert_rows(connection, self, rows)


class OwnerFunction:
    """A function in the database that does for its caller what only the owner may; there are some where `has_roles`.

    Args:
        name: of the function.
        parameters: in their order.
        types: of those parameters that a driver could take for something else.
    """

    def __init__(self, name: str, *parameters: str, types: Mapping[str, TypeEngine[Any] | type[Any]]) -> None:
        typed = [bindparam(known, type_=kind) for known, kind in types.items() if known in parameters]
        given = ", ".join(f":{parameter}" for parameter in parameters)
        self._statement = text(f"SELECT {name}({given})").bindparams(*typed)

    async def call(self, connection: AsyncConnection, **values: Any) -> Any:
        """Return what it returns."""
        return (await connection.execute(self._statement, values)).scalar()
