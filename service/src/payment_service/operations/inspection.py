"""Operations for people to look at: never the stored answer, which may hold a client secret."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import select

from payment_service.errors import NotFound
from payment_service.http.paging import Order, read_page
from payment_service.storage.tables import operations

if TYPE_CHECKING:
    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.http.paging import Page
    from payment_service.storage.database import Database
    from payment_service.storage.rows import OperationRow

_SHOWN: Final = [column for column in operations.c if column.name not in {"request", "response_body"}]

_ORDER: Final = Order(noun="operation", key=(operations.c.id,), ids=(operations.c.id,), created=operations.c.created_at)
"""Their ids sort by time."""


class OperationView(msgspec.Struct, kw_only=True):
    """How far a mutating request got."""

    id: str
    """Our id."""
    kind: str
    """What was asked for."""
    phase: str
    """How far it got."""
    finished: bool
    """Whether its answer is fixed."""
    past_lease: bool
    """Unfinished and driven by nobody: a worker takes it over."""
    principal: str
    """Whose request it is."""
    livemode: bool
    """Whether it is of Stripe's live mode."""
    request_id: str | None
    """Of the request that began it, as in the log; null where it has none."""
    attempts: int
    """How often it was driven."""
    fence: int
    """Number of the present driver's right; an older one writes nothing any more."""
    lease_owner: str | None
    """Process that drives it; null: none does."""
    lease_expires_at: datetime
    """Until when the driver has the right alone."""
    last_error: str | None
    """Why it did not finish the last time; null without a fault."""
    response_status: int | None
    """HTTP status of its answer; null while it is unfinished."""
    facts: dict[str, Any]
    """What its phases found out."""
    created_at: datetime
    """When the request came."""
    updated_at: datetime
    """When it last got further."""


class OperationList(msgspec.Struct, kw_only=True):
    """A page of operations, newest first."""

    data: list[OperationView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""


class OperationInspection:
    """Reads operations."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self, *, page: Page, unfinished: bool = False, kind: str | None = None) -> OperationList:
        """Return a page of operations, newest first.

        Raises:
            Unprocessable: the page is to begin at no operation.
        """
        statement = select(*_SHOWN)
        if unfinished:
            statement = statement.where(~operations.c.finished)
        if kind is not None:
            statement = statement.where(operations.c.kind == kind)
        async with self._database.read() as connection:
            rows, more = await read_page(connection, statement, order=_ORDER, page=page)
        return OperationList(data=[self._view(row) for row in rows], has_more=more)

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

    def _view(self, row: OperationRow) -> OperationView:
        values = {name: value for name, value in row._mapping.items() if name in OperationView.__struct_fields__}  # noqa: SLF001 - SQLAlchemy's public name
        past = not row.finished and row.lease_expires_at <= self._clock.now()
        facts = {name: value for name, value in row.facts.items() if "secret" not in name}
        return OperationView(**(values | {"facts": facts}), past_lease=past)


async def _rows(connection: AsyncConnection, statement: Executable) -> list[OperationRow]:
    return list((await connection.execute(statement)).all())
