"""How rows that mirror Stripe's objects are written: newest state wins, changes go to the outbox.

Stripe promises neither order nor single delivery (docs.stripe.com/webhooks#event-ordering), and `created` of an event
counts whole seconds. So a snapshot is taken over only when it is known to be newer than what the row holds; on a tie or
an older one the caller fetches the present object from Stripe and writes that.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, insert, select, update

from payment_service.tables import outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection


class NeedsFetch(Exception):
    """The snapshot may be older than the row: fetch the present object from Stripe and write that."""


def moment(seconds: int | None) -> datetime | None:
    """Return the moment of a Unix timestamp."""
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


async def write_outbox(
    connection: AsyncConnection,
    *,
    object_type: str,
    object_id: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    cause: str,
    now: datetime,
) -> None:
    """Append what changed, in the transaction of the change."""
    await connection.execute(
        insert(outbox),
        {
            "object_type": object_type,
            "object_id": object_id,
            "before": to_json(before),
            "after": to_json(after),
            "cause": cause,
            "created_at": now,
        },
    )


def to_json(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return `values` in JSON types: moments as RFC 3339."""
    if values is None:
        return None
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


async def mirror(
    connection: AsyncConnection,
    table: Table,
    *,
    key: Mapping[str, Any],
    columns: Mapping[str, Any],
    as_of: int,
    fetched: bool,
    cause: str,
    now: datetime,
) -> None:
    """Insert or update the row of a Stripe object.

    Args:
        connection: in a transaction.
        table: with the columns `stripe_updated`, `created_at`, `updated_at`.
        key: the columns that find the row.
        columns: the object's state.
        as_of: when it was so, in Stripe's seconds.
        fetched: whether `columns` are the present state from Stripe, not an event's snapshot.
        cause: id of the event or operation.
        now: the present time.

    Raises:
        NeedsFetch: a snapshot that is not newer than the row.
    """
    condition = [table.c[name] == value for name, value in key.items()]
    row = (await connection.execute(select(table).where(*condition).with_for_update())).first()
    if row is None:
        values = {**columns, **key, "stripe_updated": as_of, "created_at": now, "updated_at": now}
        await connection.execute(insert(table), values)
        before = None
    else:
        if not fetched and as_of <= row.stripe_updated:
            raise NeedsFetch
        stored = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
        before = {name: stored[name] for name, value in columns.items() if stored[name] != value}
        stamp = max(as_of, row.stripe_updated)
        values = {**columns, "stripe_updated": stamp, "updated_at": now}
        await connection.execute(update(table).where(*condition).values(values))
        if not before:
            return
    after = {name: columns[name] for name in before} if before is not None else dict(columns)
    object_id = str(next(iter(key.values())))
    await write_outbox(
        connection, object_type=table.name, object_id=object_id, before=before, after=after, cause=cause, now=now
    )
