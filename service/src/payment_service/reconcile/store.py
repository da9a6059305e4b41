"""SQL of reconciliation: what is due, and what is here already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, func, or_, select, update

from payment_service.events.rows import OTHER_ACCOUNT
from payment_service.mirror.invoice import invoices
from payment_service.storage.cursors import read_cursor, write_cursor
from payment_service.storage.tables import cursors, events, operations, subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

UNSEEN_SECONDS: Final = 300
"""How long a paid invoice may be without its subscription: the one's event may be before the other's."""
WATCHED_DAYS: Final = 7
UNFINISHED_SECONDS: Final = 300
"""How long an operation may take from its start on, with a lease that ended and a second attempt."""
BROUGHT_ATTEMPTS: Final = 3
"""After so many failures an event that reconciliation brought is waited for no more: it is one object's fault."""
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


_DUE: Final = (
    update(cursors)
    .where(cursors.c.name == bindparam("c_name"), cursors.c.updated_at <= bindparam("c_before"))
    .values(updated_at=bindparam("c_now"))
)
_PAID_WITHOUT_ROW: Final = (
    select(func.count())
    .select_from(invoices)
    .join(subscriptions, subscriptions.c.stripe_subscription_id == invoices.c.stripe_subscription_id, isouter=True)
    .where(
        and_(invoices.c.updated_at >= bindparam("since"), invoices.c.updated_at < bindparam("until")),
        invoices.c.status == "paid",
        invoices.c.stripe_subscription_id.is_not(None),
        subscriptions.c.id.is_(None),
    )
)
_BROUGHT: Final = (
    select(func.count())
    .select_from(events)
    .where(events.c.state == "pending", events.c.source == "reconcile", events.c.attempts < BROUGHT_ATTEMPTS)
)
_PAST_LEASE: Final = (
    select(func.count())
    .select_from(operations)
    .where(~operations.c.finished, operations.c.created_at <= bindparam("before"))
)


async def make_due(connection: AsyncConnection, name: str) -> None:
    """Let the next `is_due` say yes."""
    await write_cursor(connection, name, {}, now=_LONG_AGO)


async def is_due(connection: AsyncConnection, name: str, *, seconds: float, now: datetime) -> bool:
    """Tell whether this was last done so long ago, and note that it is done now: one process of many is told yes.

    The first time comes so many seconds after the first question.
    """
    if await read_cursor(connection, name) is None:
        await write_cursor(connection, name, {}, now=now)
    values = {"c_name": name, "c_before": now - timedelta(seconds=seconds), "c_now": now}
    return bool((await connection.execute(_DUE, values)).rowcount)


async def known(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Return which of these events, which our account lists, are in the inbox as its own."""
    ours = or_(events.c.state != "ignored", events.c.last_error.is_distinct_from(OTHER_ACCOUNT))
    return set((await connection.execute(select(events.c.id).where(events.c.id.in_(ids), ours))).scalars())


async def on_their_way(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Return which of these objects have events that are not applied yet."""
    waiting = select(events.c.group_key).where(events.c.group_key.in_(ids), events.c.state == "pending")
    return set((await connection.execute(waiting)).scalars())


async def rows_of(connection: AsyncConnection, table: Table, key: str, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Return the rows of these objects by Stripe's id."""
    rows = await connection.execute(select(table).where(table.c[key].in_(ids)))
    return {row._mapping[key]: row for row in rows}  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping


async def brought(connection: AsyncConnection) -> int:
    """Count the events that reconciliation brought and that are still to be applied."""
    return int((await connection.execute(_BROUGHT)).scalar_one())


async def paid_without_row(connection: AsyncConnection, *, now: datetime) -> int:
    """Count recent paid invoices whose subscription has no row here although its events had time to come."""
    bounds = {"since": now - timedelta(days=WATCHED_DAYS), "until": now - timedelta(seconds=UNSEEN_SECONDS)}
    return int((await connection.execute(_PAID_WITHOUT_ROW, bounds)).scalar_one())


async def past_lease(connection: AsyncConnection, *, now: datetime) -> int:
    """Count unfinished operations that began long ago.

    Each attempt takes a new lease, so the present one says nothing of an operation that fails every time.
    """
    before = now - timedelta(seconds=UNFINISHED_SECONDS)
    return int((await connection.execute(_PAST_LEASE, {"before": before})).scalar_one())
