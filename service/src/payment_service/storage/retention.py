"""Removes what the outbox and the audit log have kept long enough.

The application's role may delete in neither: on PostgreSQL functions of the owner's do it, which keep what is younger
than a bound of their own (migration 14). Whole days go at a time (UTC), so that what the audit log says of its own
removals stays short.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, bindparam, delete, func, select

from payment_service.storage import audit_log as audit
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.dialects import dialect_of
from payment_service.storage.statements import OwnerFunction
from payment_service.storage.tables import audit_log, outbox

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.database import Database

ACTOR: Final = "worker:retention"
_TYPES: Final = {"before": UtcDateTime, "at_most": Integer}
_BEFORE: Final = bindparam("before", type_=UtcDateTime)
_AT_MOST: Final = bindparam("at_most", type_=Integer)


def _delete_oldest(table: Table) -> Any:
    """Look at the oldest rows alone: while none is due, that costs nothing, however long the table is.

    The newest row stays: SQLite would give its number, which the feed and personal data go by, to the next one.
    """
    oldest = select(table.c.seq, table.c.created_at).order_by(table.c.seq).limit(_AT_MOST).subquery()
    newest = select(func.max(table.c.seq)).scalar_subquery()
    due = select(oldest.c.seq).where(oldest.c.created_at < _BEFORE, oldest.c.seq < newest)
    return delete(table).where(table.c.seq.in_(due))


_FUNCTIONS: Final = {
    table.name: OwnerFunction(f"remove_old_{name}_rows", "before", "at_most", types=_TYPES)
    for table, name in ((outbox, "outbox"), (audit_log, "audit"))
}
_DELETES: Final = {table.name: _delete_oldest(table) for table in (outbox, audit_log)}


async def remove_old(
    database: Database, table: Table, *, days: float, now: datetime, limit: int, rounds: int = 1
) -> int:
    """Remove rows of the outbox or the audit log, the oldest first, and return how many.

    Args:
        database: that holds them.
        table: `outbox` or `audit_log`.
        days: how long they are kept.
        now: the present time.
        limit: rows in each transaction.
        rounds: transactions at most.
    """
    before = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    total = 0
    for _ in range(rounds):
        async with database.transaction() as connection:
            removed = await _remove(connection, table, before=before, now=now, limit=limit)
        total += removed
        if removed < limit:
            break
    return total


async def _remove(connection: AsyncConnection, table: Table, *, before: datetime, now: datetime, limit: int) -> int:
    parameters = {"before": before, "at_most": limit}
    if dialect_of(connection).has_roles:
        return int(await _FUNCTIONS[table.name].call(connection, **parameters))
    removed = (await connection.execute(_DELETES[table.name], parameters)).rowcount
    if removed and table is audit_log:
        await audit.record(
            connection,
            actor=ACTOR,
            action="audit_log.remove",
            object_type="audit_log",
            object_id="audit_log",
            now=now,
            details={"older_than": before, "rows": removed},
        )
    return removed
