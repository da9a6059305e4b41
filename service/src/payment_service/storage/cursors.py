"""Rows that say how far a duty is, or what state the database itself is in: a name and a small JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from payment_service.storage.tables import cursors

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


def _put(dialect: Any) -> Any:
    statement = dialect.insert(cursors)
    new = {"value": statement.excluded.value, "updated_at": statement.excluded.updated_at}
    return statement.on_conflict_do_update(index_elements=[cursors.c.name], set_=new)


_PUT: Final = {"postgresql": _put(postgresql), "sqlite": _put(sqlite)}
_ADD: Final = {
    name: dialect.insert(cursors).on_conflict_do_nothing().returning(cursors.c.name)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}
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
    await connection.execute(_PUT[connection.dialect.name], {"name": name, "value": value, "updated_at": now})


async def add_cursor(connection: AsyncConnection, name: str, value: dict[str, Any], *, now: datetime) -> bool:
    """Make a cursor; False when there is one already, which stays as it is."""
    values = {"name": name, "value": value, "updated_at": now}
    return (await connection.execute(_ADD[connection.dialect.name], values)).first() is not None


async def drop_cursor(connection: AsyncConnection, name: str) -> None:
    """Remove a cursor."""
    await connection.execute(delete(cursors).where(cursors.c.name == name))
