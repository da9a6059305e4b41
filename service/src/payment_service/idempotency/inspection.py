"""Operations for people to look at: never the stored answer, which may hold a client secret."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import select

from payment_service.errors import NotFound
from payment_service.tables import operations

if TYPE_CHECKING:
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database

_SHOWN: Final = [column for column in operations.c if column.name not in {"request", "response_body"}]


class OperationView(msgspec.Struct, kw_only=True):
    """How far a mutating request got."""

    id: str
    kind: str
    phase: str
    finished: bool
    past_lease: bool
    """Unfinished and driven by nobody: a worker takes it over."""
    principal: str
    livemode: bool
    request_id: str | None
    attempts: int
    fence: int
    lease_owner: str | None
    lease_expires_at: datetime
    last_error: str | None
    response_status: int | None
    facts: dict[str, Any]
    """What its phases found out."""
    created_at: datetime
    updated_at: datetime


class OperationList(msgspec.Struct, kw_only=True):
    """A page of operations, newest first."""

    data: list[OperationView]
    has_more: bool


class OperationInspection:
    """Reads operations."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(
        self,
        *,
        unfinished: bool = False,
        kind: str | None = None,
        since: datetime | None = None,
        limit: int = 10,
        starting_after: str | None = None,
    ) -> OperationList:
        """Return a page of operations, newest first: their ids sort by time."""
        statement = select(*_SHOWN)
        if unfinished:
            statement = statement.where(~operations.c.finished)
        if kind is not None:
            statement = statement.where(operations.c.kind == kind)
        if since is not None:
            statement = statement.where(operations.c.created_at >= since)
        if starting_after is not None:
            statement = statement.where(operations.c.id < starting_after)
        async with self._database.read() as connection:
            found = await _rows(connection, statement.order_by(operations.c.id.desc()).limit(limit + 1))
        return OperationList(data=[self._view(row) for row in found[:limit]], has_more=len(found) > limit)

    async def show(self, operation_id: str) -> OperationView:
        """Return one operation.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.read() as connection:
            found = await _rows(connection, select(*_SHOWN).where(operations.c.id == operation_id))
        if not found:
            raise NotFound(f"There is no operation {operation_id}")
        return self._view(found[0])

    def _view(self, row: Row[Any]) -> OperationView:
        values = {name: value for name, value in row._mapping.items() if name in OperationView.__struct_fields__}  # noqa: SLF001 - SQLAlchemy's public name
        past = not row.finished and row.lease_expires_at <= self._clock.now()
        facts = {name: value for name, value in row.facts.items() if "secret" not in name}
        return OperationView(**(values | {"facts": facts}), past_lease=past)


async def _rows(connection: AsyncConnection, statement: Any) -> list[Row[Any]]:
    return list((await connection.execute(statement)).all())
