"""SQL of what people ask of the inbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from payment_service.events.payloads import LAST_SECOND
from payment_service.events.schemas import EventView
from payment_service.http import strict_json
from payment_service.http.paging import Order, read_page
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.events.schemas import ReplayRequest
    from payment_service.http.paging import Page

_SHOWN = [column for column in events.c if column.name != "payload"]
_ORDER = Order(noun="event", key=(events.c.received_at, events.c.id), ids=(events.c.id,), created=events.c.received_at)
_SETTLED = ("applied", "ignored", "dead")


async def list_page(
    connection: AsyncConnection, *, page: Page, state: str | None, kind: str | None, object_id: str | None
) -> tuple[list[Row[Any]], bool]:
    """Return a page of events without their payloads, the last received first, and whether there are more.

    Raises:
        UnknownCursor: the page is to begin at no event.
    """
    statement = select(*_SHOWN).where(*_of_type(kind))
    for column, value in ((events.c.state, state), (events.c.object_id, object_id)):
        if value is not None:
            statement = statement.where(column == value)
    return await read_page(connection, statement, order=_ORDER, page=page)


async def get(connection: AsyncConnection, event_id: str) -> Row[*tuple[object, ...]] | None:
    """Return an event with its payload."""
    return (await connection.execute(select(events).where(events.c.id == event_id))).first()


async def rearm(connection: AsyncConnection, *conditions: ColumnElement[bool], now: datetime) -> None:
    """Let events be applied anew, as if they had just come."""
    fresh = {"state": "pending", "attempts": 0, "available_at": now, "settled_at": None, "last_error": None}
    await connection.execute(update(events).where(*conditions).values(fresh))


async def discard(connection: AsyncConnection, event_id: str, *, reason: str) -> bool:
    """Give up a dead event for good; False when it is dead no more."""
    values = {"state": "discarded", "discard_reason": reason}
    done = await connection.execute(update(events).where(*_in_state(event_id, "dead")).values(values))
    return bool(done.rowcount)


async def restore(connection: AsyncConnection, event_id: str) -> bool:
    """Make a discarded event dead again; False when it is discarded no more."""
    values = {"state": "dead", "discard_reason": None}
    done = await connection.execute(update(events).where(*_in_state(event_id, "discarded")).values(values))
    return bool(done.rowcount)


def _in_state(event_id: str, state: str) -> tuple[ColumnElement[bool], ...]:
    return events.c.id == event_id, events.c.state == state


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


def to_view(row: Row[*tuple[object, ...]], *, payload: bool = False) -> EventView:
    """Build the view of a row."""
    return EventView(
        id=row.id,
        type=row.type,
        object_id=row.object_id,
        state=row.state,
        attempts=row.attempts,
        source=row.source,
        api_version=row.api_version,
        stripe_created=datetime.fromtimestamp(max(0, min(row.stripe_created, LAST_SECOND)), tz=UTC),
        received_at=row.received_at,
        available_at=row.available_at,
        settled_at=row.settled_at,
        last_error=row.last_error,
        discard_reason=row.discard_reason,
        **(_shown(bytes(row.payload)) if payload else {}),
    )


def _shown(body: bytes) -> dict[str, Any]:
    """Return the payload as JSON, or whatever it is as text."""
    try:
        content = strict_json.decode(body)
    except strict_json.NotStrictJson:
        content = None
    if isinstance(content, dict):
        return {"payload": content}
    return {"payload_text": body.decode(errors="backslashreplace")}
