"""Rows that say how far a duty is, or what state the database itself is in: a name and a small JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select

from payment_service.storage.statements import InsertNew, Upsert
from payment_service.storage.tables import cursors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


_PUT: Final = Upsert(cursors, key=(cursors.c.name,), changed=("value", "updated_at"))
_ADD: Final = InsertNew(cursors, returning=(cursors.c.name,))
_FIND: Final = select(cursors.c.value).where(cursors.c.name == bindparam("name"))
_LOCK: Final = _FIND.with_for_update()
_FIND_ALL: Final = select(cursors.c.name, cursors.c.value).where(cursors.c.name.in_(bindparam("names", expanding=True)))


async def read_cursor(connection: AsyncConnection, name: str, *, lock: bool = False) -> dict[str, Any] | None:
    """Return a cursor, with `lock` locked until the transaction ends."""
    statement = _LOCK if lock else _FIND
    found: dict[str, Any] | None = (await connection.execute(statement, {"name": name})).scalar_one_or_none()
    return found


async def read_cursors(connection: AsyncConnection, *names: str) -> dict[str, dict[str, Any]]:
    """Return those of these cursors that there are."""
    return {row.name: row.value for row in await connection.execute(_FIND_ALL, {"names": names})}


async def write_cursor(connection: AsyncConnection, name: str, value: dict[str, Any], *, now: datetime) -> None:
    """Set a cursor."""
    await _PUT.run(connection, {"name": name, "value": value, "updated_at": now})


async def add_cursor(connection: AsyncConnection, name: str, value: dict[str, Any], *, now: datetime) -> bool:
    """Make a cursor; False when there is one already, which stays as it is."""
    return await _ADD.run(connection, {"name": name, "value": value, "updated_at": now}) is not None


async def drop_cursor(connection: AsyncConnection, name: str) -> None:
    """Remove a cursor."""
    await connection.execute(delete(cursors).where(cursors.c.name == name))
