"""SQL of the inbox. A row is the job: there is no second queue that could lose it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from payment_service.tables import events
from payment_service.webhooks.schemas import EventEnvelope, InboxEvent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


def _insert(dialect: Any) -> Any:
    """Insert; a redelivery of an event that was given up arms it again, any other is nothing new."""
    statement = dialect.insert(events)
    return statement.on_conflict_do_update(
        index_elements=[events.c.id],
        set_={"state": "pending", "attempts": 0, "available_at": statement.excluded.available_at, "settled_at": None},
        where=events.c.state == "dead",
    )


_INSERT: Final = {"postgresql": _insert(postgresql), "sqlite": _insert(sqlite)}
_FREE: Final = or_(events.c.lease_expires_at.is_(None), events.c.lease_expires_at <= bindparam("now"))
_DUE: Final = (
    select(events.c.id)
    .where(events.c.state == "pending", events.c.available_at <= bindparam("now"), _FREE)
    .order_by(events.c.available_at, events.c.stripe_created)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    update(events)
    .where(events.c.id.in_(_DUE))
    .values(
        lease_owner=bindparam("n_owner"),
        lease_expires_at=bindparam("n_expires"),
        attempts=events.c.attempts + 1,
    )
    .returning(events)
)
_OLDEST: Final = select(func.min(events.c.received_at)).where(events.c.state == "pending")
_DEAD: Final = select(func.count()).where(events.c.state == "dead")


def row_values(event: EventEnvelope, body: bytes, *, source: str, livemode: bool, now: datetime) -> dict[str, Any]:
    """Return the row of a new event; one of the other mode is kept but not applied."""
    return {
        "id": event.id,
        "type": event.type,
        "object_id": event.object_id,
        "group_key": event.object_id,
        "api_version": event.api_version,
        "livemode": event.livemode,
        "stripe_created": event.created,
        "payload": body,
        "source": source,
        "state": "pending" if event.livemode == livemode else "ignored",
        "attempts": 0,
        "available_at": now,
        "received_at": now,
    }


async def insert_events(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert events that are not there yet."""
    await connection.execute(_INSERT[connection.dialect.name], list(rows))


async def claim(
    connection: AsyncConnection, *, owner: str, now: datetime, lease_seconds: float, limit: int
) -> list[InboxEvent]:
    """Take a lease on due events, oldest first."""
    rows = await connection.execute(
        _CLAIM,
        {"n_owner": owner, "n_expires": now + timedelta(seconds=lease_seconds), "now": now, "limit": limit},
    )
    claimed = [
        InboxEvent(
            id=row.id,
            type=row.type,
            object_id=row.object_id,
            stripe_created=row.stripe_created,
            attempts=row.attempts,
            received_at=row.received_at,
            content=msgspec.json.decode(bytes(row.payload)),
        )
        for row in rows
    ]
    return sorted(claimed, key=lambda event: (event.stripe_created, event.id))


async def settle(
    connection: AsyncConnection, event_id: str, *, state: str, now: datetime, owner: str, error: str | None = None
) -> bool:
    """End an event as applied, ignored or dead; False when this worker no longer holds it."""
    result = await connection.execute(
        update(events)
        .where(events.c.id == event_id, events.c.lease_owner == owner, events.c.state == "pending")
        .values(state=state, settled_at=now, lease_owner=None, lease_expires_at=None, last_error=error)
    )
    return bool(result.rowcount)


async def retry(connection: AsyncConnection, event_id: str, *, at: datetime, owner: str, error: str) -> None:
    """Give the lease back and let the event wait."""
    await connection.execute(
        update(events)
        .where(events.c.id == event_id, events.c.lease_owner == owner, events.c.state == "pending")
        .values(available_at=at, lease_owner=None, lease_expires_at=None, last_error=error)
    )


async def backlog(connection: AsyncConnection) -> tuple[datetime | None, int]:
    """Return when the oldest waiting event arrived, and how many are dead."""
    oldest = (await connection.execute(_OLDEST)).scalar_one()
    dead = (await connection.execute(_DEAD)).scalar_one()
    return oldest, dead


async def remove_settled(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Remove events settled before a moment, at most `limit` at a time."""
    old = select(events.c.id).where(events.c.state != "pending", events.c.settled_at < before).limit(limit)
    result = await connection.execute(delete(events).where(events.c.id.in_(old)))
    return result.rowcount
