"""SQL of replays: how far each is, and the deliveries that it has sent again."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, exists, func, insert, literal, or_, select, update

from payment_service.http.paging import Order, read_page
from payment_service.storage.feed_table import feed
from payment_service.storage.ids import new_id
from payment_service.storage.tables import outbox
from payment_service.storage.webhook_tables import PENDING, webhook_deliveries, webhook_endpoints, webhook_replays

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import ReplayRow
    from payment_service.feed.schemas import FeedEvent
    from payment_service.http.paging import Page

RUNNING: Final = "running"
WAITING: Final = 100
"""Deliveries of a replay that may be pending; until there are fewer, it looks at no further events."""
_deliveries, _endpoints, _replays = webhook_deliveries, webhook_endpoints, webhook_replays
_RUNNING: Final = select(_replays).where(
    _replays.c.endpoint_id == bindparam("endpoint_id"),
    _replays.c.id
    == select(_endpoints.c.replay_id).where(_endpoints.c.id == bindparam("endpoint_id")).scalar_subquery(),
)
_WAITING: Final = select(func.count()).select_from(
    select(literal(1))
    .where(_deliveries.c.replay_id == bindparam("replay_id"), _deliveries.c.state == PENDING)
    .limit(WAITING)
    .subquery()
)
_KNOWN: Final = select(_deliveries.c.sequence, _deliveries.c.id, _deliveries.c.state).where(
    _deliveries.c.endpoint_id == bindparam("endpoint_id"),
    _deliveries.c.sequence.in_(bindparam("sequences", expanding=True)),
)
_SEND_AGAIN: Final = (
    update(_deliveries)
    .where(_deliveries.c.id == bindparam("of"))
    .values(
        state=PENDING,
        attempts=0,
        settled_at=None,
        due_at=bindparam("new_due_at"),
        replay_id=bindparam("new_replay_id"),
        webhook_id=bindparam("new_webhook_id"),
    )
)
_ORDER: Final = Order(
    noun="webhook replay",
    key=(_replays.c.created_at, _replays.c.id),
    ids=(_replays.c.id,),
    created=_replays.c.created_at,
)


async def places_between(
    connection: AsyncConnection, *, since: datetime, until: datetime | None, reached: int
) -> tuple[int, int] | None:
    """Return the first and the last place up to `reached` that were written in a time; None: there is none.

    Places are in the order of commits, so those between them may hold a few that were written a little earlier or
    later; they are sent again too, for to leave one out would be worse.
    """
    written = [outbox.c.created_at >= since, feed.c.sequence <= reached]
    if until is not None:
        written.append(outbox.c.created_at < until)
    found = select(func.min(feed.c.sequence), func.max(feed.c.sequence))
    statement = found.join(outbox, outbox.c.seq == feed.c.outbox_seq).where(*written)
    first, last = (await connection.execute(statement)).one()
    return None if first is None else (first, last)


async def count(connection: AsyncConnection, *, first: int, last: int, object_types: Collection[str] | None) -> int:
    """Return how many events about these kinds of objects, None: about any, stand between two places."""
    statement = select(func.count()).select_from(feed).where(feed.c.sequence.between(first, last))
    if object_types is not None:
        statement = statement.join(outbox, outbox.c.seq == feed.c.outbox_seq)
        statement = statement.where(outbox.c.object_type.in_(object_types))
    found: int = (await connection.execute(statement)).scalar_one()
    return found


async def add(connection: AsyncConnection, values: Mapping[str, object]) -> None:
    """Insert a replay."""
    await connection.execute(insert(_replays), [dict(values)])


async def find(connection: AsyncConnection, replay_id: str, *, livemode: bool) -> ReplayRow | None:
    """Return a replay to an endpoint that there is."""
    statement = select(_replays).where(_replays.c.id == replay_id, _of_mode(livemode=livemode))
    found: Any = (await connection.execute(statement)).first()
    row: ReplayRow | None = found
    return row


async def list_page(
    connection: AsyncConnection, *, livemode: bool, page: Page, endpoint_id: str | None
) -> tuple[Sequence[ReplayRow], bool]:
    """Return a page of replays, newest first, and whether there are more.

    Raises:
        UnknownCursor: the page is to begin at no replay.
    """
    statement = select(_replays)
    if endpoint_id is not None:
        statement = statement.where(_replays.c.endpoint_id == endpoint_id)
    found: Any
    found, more = await read_page(connection, statement, order=_ORDER, page=page, among=(_of_mode(livemode=livemode),))
    rows: Sequence[ReplayRow] = found
    return rows, more


async def counts(connection: AsyncConnection, replay_ids: Collection[str]) -> Mapping[str, Counter[str]]:
    """Return how many deliveries of each replay are in each state."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    statement = select(_deliveries.c.replay_id, _deliveries.c.state, func.count())
    statement = statement.where(_deliveries.c.replay_id.in_(replay_ids))
    for replay_id, state, number in await connection.execute(
        statement.group_by(_deliveries.c.replay_id, _deliveries.c.state)
    ):
        found[replay_id][state] = number
    return found


async def running(connection: AsyncConnection, endpoint_id: str) -> ReplayRow | None:
    """Return the replay to an endpoint that is under way."""
    found: Any = (await connection.execute(_RUNNING, {"endpoint_id": endpoint_id})).first()
    row: ReplayRow | None = found
    return row


async def waiting(connection: AsyncConnection, replay_id: str) -> int:
    """Return how many of its deliveries are pending, counted up to `WAITING`."""
    found: int = (await connection.execute(_WAITING, {"replay_id": replay_id})).scalar_one()
    return found


async def can_go_on(connection: AsyncConnection, endpoint_id: str) -> bool:
    """Tell whether an endpoint's replay has something to do before one of its deliveries is due."""
    replay = await running(connection, endpoint_id)
    if replay is None:
        return False
    waits = await waiting(connection, replay.id)
    return waits < WAITING and (replay.reached < replay.last_sequence or not waits)


async def advance(connection: AsyncConnection, replay: ReplayRow, *, reached: int) -> bool:
    """Note how far a replay is, if it still runs and is where it was read; tell whether it is."""
    statement = update(_replays).where(
        _replays.c.id == replay.id, _replays.c.state == RUNNING, _replays.c.reached == replay.reached
    )
    return bool((await connection.execute(statement.values(reached=reached))).rowcount)


async def end(connection: AsyncConnection, replay_id: str, *, state: str, now: datetime) -> bool:
    """End a replay; tell whether it ran."""
    ended = update(_replays).where(_replays.c.id == replay_id, _replays.c.state == RUNNING)
    if not (await connection.execute(ended.values(state=state, ended_at=now))).rowcount:
        return False
    free = update(_endpoints).where(_endpoints.c.replay_id == replay_id)
    await connection.execute(free.values(replay_id=None))
    return True


async def skip_waiting(connection: AsyncConnection, replay_id: str, *, now: datetime) -> None:
    """Give up what a replay still has waiting."""
    of_it = update(_deliveries).where(_deliveries.c.replay_id == replay_id, _deliveries.c.state == PENDING)
    await connection.execute(of_it.values(state="skipped", settled_at=now))


async def send_again(
    connection: AsyncConnection, events: Sequence[FeedEvent], *, replay: ReplayRow, now: datetime
) -> None:
    """Let events wait to be sent again: an event that has a delivery by that, but one that still waits as it is."""
    values = {"endpoint_id": replay.endpoint_id, "sequences": [event.sequence for event in events]}
    known = {row.sequence: row for row in await connection.execute(_KNOWN, values)} if events else {}
    again = [
        {"of": row.id, "new_due_at": now, "new_replay_id": replay.id, "new_webhook_id": _webhook_id(replay)}
        for row in known.values()
        if row.state != PENDING
    ]
    new = [event for event in events if event.sequence not in known]
    ids = sorted(new_id("lpd") for _ in new)
    added = [
        {
            "id": delivery_id,
            "endpoint_id": replay.endpoint_id,
            "sequence": event.sequence,
            "event_id": event.id,
            "event_type": event.type,
            "object_id": event.object_id,
            "state": PENDING,
            "due_at": now,
            "created_at": now,
            "replay_id": replay.id,
            "webhook_id": _webhook_id(replay),
        }
        for delivery_id, event in zip(ids, new, strict=True)
    ]
    if again:
        await connection.execute(_SEND_AGAIN, again)
    if added:
        await connection.execute(insert(_deliveries), added)


def _webhook_id(replay: ReplayRow) -> str | None:
    return new_id("msg") if replay.fresh_ids else None


async def trim(connection: AsyncConnection, *, before: datetime) -> None:
    """Remove replays that ended before a moment, or whose endpoint is gone."""
    orphaned = ~exists(select(1).where(_endpoints.c.id == _replays.c.endpoint_id))
    await connection.execute(delete(_replays).where(or_(_replays.c.ended_at < before, orphaned)))


def _of_mode(*, livemode: bool) -> ColumnElement[bool]:
    return exists(select(1).where(_endpoints.c.id == _replays.c.endpoint_id, _endpoints.c.livemode == livemode))
