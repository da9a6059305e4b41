"""SQL of webhook endpoints, for those who manage them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from payment_service.http.paging import Order, read_page
from payment_service.storage.changed_rows import note
from payment_service.storage.cursors import add_cursor, read_cursor
from payment_service.storage.webhook_tables import webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import EndpointRow
    from payment_service.http.paging import Page

_LOCK: Final = "webhook_endpoints"
"""A cursor that is locked while endpoints are counted."""
_ALL: Final = select(webhook_endpoints)
_ONE: Final = _ALL.where(
    webhook_endpoints.c.id == bindparam("id"), webhook_endpoints.c.livemode == bindparam("livemode")
)
_COUNT: Final = select(func.count()).select_from(webhook_endpoints)
_ORDER: Final = Order(
    noun="webhook endpoint",
    key=(webhook_endpoints.c.created_at, webhook_endpoints.c.id),
    ids=(webhook_endpoints.c.id,),
    created=webhook_endpoints.c.created_at,
)


async def count(connection: AsyncConnection, *, now: datetime) -> int:
    """Return how many endpoints there are; nobody else counts them until the transaction ends."""
    if await read_cursor(connection, _LOCK, lock=True) is None:
        await add_cursor(connection, _LOCK, {}, now=now)
        await read_cursor(connection, _LOCK, lock=True)
    found: int = (await connection.execute(_COUNT)).scalar_one()
    return found


async def add(connection: AsyncConnection, values: Mapping[str, object]) -> None:
    """Insert an endpoint."""
    await connection.execute(insert(webhook_endpoints), [dict(values)])


async def find(
    connection: AsyncConnection, endpoint_id: str, *, livemode: bool, lock: bool = False
) -> EndpointRow | None:
    """Return an endpoint, with `lock` locked until the transaction ends."""
    statement = _ONE.with_for_update() if lock else _ONE
    found: Any = (await connection.execute(statement, {"id": endpoint_id, "livemode": livemode})).first()
    row: EndpointRow | None = found
    return row


async def list_page(connection: AsyncConnection, *, livemode: bool, page: Page) -> tuple[Sequence[EndpointRow], bool]:
    """Return a page of endpoints, newest first, and whether there are more.

    Raises:
        UnknownCursor: the page is to begin at no endpoint.
    """
    among = (webhook_endpoints.c.livemode == livemode,)
    found: Any
    found, more = await read_page(connection, _ALL, order=_ORDER, page=page, among=among)
    rows: Sequence[EndpointRow] = found
    return rows, more


async def change(connection: AsyncConnection, endpoint_id: str, values: Mapping[str, object], *, now: datetime) -> None:
    """Change an endpoint; whoever sends to it finds out at its next step."""
    statement = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
    await connection.execute(statement.values({**values, "updated_at": now}))


async def prompt(connection: AsyncConnection, endpoint_id: str, values: Mapping[str, object], *, now: datetime) -> None:
    """Change an endpoint, and have workers look at it after the commit."""
    await change(connection, endpoint_id, values, now=now)
    note(connection, webhook_endpoints.name, endpoint_id)


async def remove(connection: AsyncConnection, endpoint_id: str) -> None:
    """Remove an endpoint; what is kept of its deliveries goes later."""
    await connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id))


async def values_in_use(connection: AsyncConnection, *, livemode: bool, now: datetime) -> dict[str, int]:
    """Return which values of `WEBHOOK_SIGNING_KEY` secrets are derived from, each with how many endpoints need it."""
    found: Counter[str] = Counter()
    statement = select(
        webhook_endpoints.c.secret_value, webhook_endpoints.c.former_value, webhook_endpoints.c.former_until
    ).where(webhook_endpoints.c.livemode == livemode)
    for value, before, until in await connection.execute(statement):
        signs_too = before is not None and until is not None and until > now
        found.update({value, before} if signs_too else {value})
    return dict(found)
