"""Which rows a transaction changed, told after its commit: what was remembered of them is forgotten then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection


class Change(NamedTuple):
    """A row."""

    table: str
    id: str


_NOTED: Final[WeakKeyDictionary[Connection, set[Change]]] = WeakKeyDictionary()


def collect(connection: AsyncConnection) -> set[Change]:
    """Return the set that `note` adds to while the transaction of `connection` runs."""
    noted: set[Change] = set()
    if connection.sync_connection is not None:
        _NOTED[connection.sync_connection] = noted
    return noted


def note(connection: AsyncConnection, table: str, row_id: str) -> None:
    """Note that this transaction changes a row that readers may remember."""
    sync = connection.sync_connection
    if sync is not None and sync in _NOTED:
        _NOTED[sync].add(Change(table, row_id))
