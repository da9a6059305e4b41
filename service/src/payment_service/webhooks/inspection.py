"""SQL of what people ask of the inbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, select, update

from payment_service.tables import events
from payment_service.webhooks.schemas import EventView

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.webhooks.schemas import ReplayRequest

_SHOWN = [column for column in events.c if column.name != "payload"]
_SETTLED = ("applied", "ignored", "dead")


async def list_page(
    connection: AsyncConnection,
    *,
    state: str | None,
    kind: str | None,
    since: datetime | None,
    object_id: str | None,
    limit: int,
    starting_after: str | None,
) -> list[Row[Any]]:
    """Return events without their payloads, the last received first, that come after `starting_after`."""
    statement = select(*_SHOWN).where(*_of_type(kind))
    for column, value in ((events.c.state, state), (events.c.object_id, object_id)):
        if value is not None:
            statement = statement.where(column == value)
    if since is not None:
        statement = statement.where(events.c.received_at >= since)
    if starting_after is not None:
        place = select(events.c.received_at).where(events.c.id == starting_after).scalar_subquery()
        later = (events.c.received_at == place) & (events.c.id < starting_after)
        statement = statement.where((events.c.received_at < place) | later)
    newest = (events.c.received_at.desc(), events.c.id.desc())
    return list((await connection.execute(statement.order_by(*newest).limit(limit))).all())


async def get(connection: AsyncConnection, event_id: str) -> Row[Any] | None:
    """Return an event with its payload."""
    return (await connection.execute(select(events).where(events.c.id == event_id))).first()


async def rearm(connection: AsyncConnection, *conditions: ColumnElement[bool], now: datetime) -> None:
    """Let events be applied anew, as if they had just come."""
    fresh = {"state": "pending", "attempts": 0, "available_at": now, "settled_at": None, "last_error": None}
    await connection.execute(update(events).where(*conditions).values(fresh))


async def count_by_type(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> dict[str, int]:
    """Count events."""
    rows = await connection.execute(
        select(events.c.type, func.count()).where(*conditions).group_by(events.c.type).order_by(events.c.type)
    )
    return {row[0]: row[1] for row in rows}


def chosen(request: ReplayRequest, *, livemode: bool) -> list[ColumnElement[bool]]:
    """Return the conditions of what a replay asks for; events that wait need none."""
    states = ("dead",) if request.dead else _SETTLED
    conditions = [events.c.state.in_(states), events.c.livemode == livemode, *_of_type(request.type)]
    if request.since is not None:
        conditions.append(events.c.received_at >= request.since)
    return conditions


def _of_type(kind: str | None) -> list[ColumnElement[bool]]:
    if kind is None:
        return []
    if kind.endswith("*"):
        return [events.c.type.startswith(kind[:-1], autoescape=True)]
    return [events.c.type == kind]


def to_view(row: Row[Any], *, payload: bool = False) -> EventView:
    """Build the view of a row."""
    return EventView(
        id=row.id,
        type=row.type,
        object_id=row.object_id,
        state=row.state,
        attempts=row.attempts,
        source=row.source,
        api_version=row.api_version,
        stripe_created=datetime.fromtimestamp(row.stripe_created, tz=UTC),
        received_at=row.received_at,
        available_at=row.available_at,
        settled_at=row.settled_at,
        last_error=row.last_error,
        payload=msgspec.json.decode(bytes(row.payload)) if payload else None,
    )
