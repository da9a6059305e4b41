"""SQL of what is sent: what is due at an endpoint, what became of it; who sends holds a lease (`leases.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, exists, func, insert, literal, or_, select, update

from payment_service.http.paging import Order, read_page
from payment_service.storage.ids import new_id
from payment_service.storage.webhook_tables import PENDING, webhook_deliveries, webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import DeliveryRow, ListedDelivery
    from payment_service.feed.schemas import FeedEvent
    from payment_service.http.paging import Page

TEST_PREFIX: Final = "evt_test"
_endpoints, _deliveries = webhook_endpoints, webhook_deliveries
_earlier: Final = _deliveries.alias("earlier")
_AHEAD: Final = and_(
    _earlier.c.endpoint_id == _deliveries.c.endpoint_id,
    _earlier.c.object_id == _deliveries.c.object_id,
    _earlier.c.state == PENDING,
    or_(
        and_(_earlier.c.replay_id.is_(None), _deliveries.c.replay_id.is_not(None)),
        and_(
            _earlier.c.sequence < _deliveries.c.sequence,
            or_(_earlier.c.replay_id.is_(None), _deliveries.c.replay_id.is_not(None)),
        ),
    ),
)
"""The deliveries about the same object that go before: what is new before what a replay sends again."""
_PENDING: Final = (_deliveries.c.endpoint_id == bindparam("endpoint_id"), _deliveries.c.state == PENDING)
_FIRST: Final = (*_PENDING, ~exists(select(1).where(_AHEAD)))
"""The condition on those deliveries that nothing goes before."""
_NEXT_DUE: Final = select(func.min(_deliveries.c.due_at)).where(*_FIRST)
_BACKLOG: Final = select(func.count()).select_from(
    select(literal(1)).where(*_PENDING, _deliveries.c.sequence.is_not(None)).limit(bindparam("limit")).subquery()
)
_TESTS: Final = select(func.count()).select_from(_deliveries).where(*_PENDING, _deliveries.c.sequence.is_(None))
_SETTLE: Final = (
    update(_deliveries)
    .where(_deliveries.c.id == bindparam("of"), _deliveries.c.state == PENDING)
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                "state",
                "attempts",
                "due_at",
                "last_status",
                "last_error",
                "last_ms",
                "attempted_at",
                "settled_at",
            )
        }
    )
)
_WAITS_FOR: Final = (
    select(_earlier.c.id).where(_AHEAD).order_by(_earlier.c.sequence).limit(1).scalar_subquery().label("waits_for")
)
_LISTED: Final = select(_deliveries, _WAITS_FOR)
_ORDER: Final = Order(
    noun="webhook delivery",
    key=(_deliveries.c.created_at, _deliveries.c.id),
    ids=(_deliveries.c.id,),
    created=_deliveries.c.created_at,
)


async def add(connection: AsyncConnection, endpoint_id: str, events: Sequence[FeedEvent], *, now: datetime) -> None:
    """Let events wait to be sent; their ids are in the events' order, which lists show."""
    ids = sorted(new_id("lpd") for _ in events)
    rows = [
        _row(delivery_id, endpoint_id, event_id=event.id, event_type=event.type, object_id=event.object_id, now=now)
        | {"sequence": event.sequence}
        for delivery_id, event in zip(ids, events, strict=True)
    ]
    if rows:
        await connection.execute(insert(_deliveries), rows)


async def add_test(connection: AsyncConnection, endpoint_id: str, *, event_type: str, now: datetime) -> str:
    """Let a test event wait to be sent; return the delivery's id."""
    delivery_id, event_id = new_id("lpd"), new_id(TEST_PREFIX)
    row = _row(delivery_id, endpoint_id, event_id=event_id, event_type=event_type, object_id=endpoint_id, now=now)
    await connection.execute(insert(_deliveries), [row])
    return delivery_id


def _row(
    delivery_id: str, endpoint_id: str, *, event_id: str, event_type: str, object_id: str, now: datetime
) -> dict[str, object]:
    return {
        "id": delivery_id,
        "endpoint_id": endpoint_id,
        "sequence": None,
        "event_id": event_id,
        "event_type": event_type,
        "object_id": object_id,
        "state": PENDING,
        "due_at": now,
        "created_at": now,
    }


async def due(
    connection: AsyncConnection, endpoint_id: str, *, now: datetime, without: Collection[str], limit: int, again: bool
) -> list[DeliveryRow]:
    """Return deliveries that are due and that no other of their object goes before, those of some objects left out.

    With `again` those of a replay, else what is new.
    """
    replayed = _deliveries.c.replay_id.is_not(None) if again else _deliveries.c.replay_id.is_(None)
    statement = select(_deliveries).where(*_FIRST, _deliveries.c.due_at <= now, replayed)
    if without:
        statement = statement.where(_deliveries.c.object_id.not_in(without))
    statement = statement.order_by(_deliveries.c.due_at, _deliveries.c.sequence).limit(limit)
    rows: Any = (await connection.execute(statement, {"endpoint_id": endpoint_id})).all()
    return list(rows)


async def settle(connection: AsyncConnection, results: Mapping[str, Mapping[str, object]]) -> None:
    """Write what came of attempts, by delivery; what a person has settled meanwhile stays as it is."""
    rows = [{"of": of, **{f"new_{name}": value for name, value in values.items()}} for of, values in results.items()]
    if rows:
        await connection.execute(_SETTLE, rows)


async def next_due(connection: AsyncConnection, endpoint_id: str) -> datetime | None:
    """Return when something is due next that nothing goes before."""
    found: datetime | None = (await connection.execute(_NEXT_DUE, {"endpoint_id": endpoint_id})).scalar_one()
    return found


async def backlog(connection: AsyncConnection, endpoint_id: str, *, limit: int) -> int:
    """Return how many deliveries of events of the feed are pending, counted up to a limit."""
    found: int = (await connection.execute(_BACKLOG, {"endpoint_id": endpoint_id, "limit": limit})).scalar_one()
    return found


async def objects_of(connection: AsyncConnection, endpoint_id: str, *, among: Collection[str]) -> set[str]:
    """Return those of some objects that deliveries to an endpoint are about, as long as these are kept."""
    wanted = (_deliveries.c.endpoint_id == endpoint_id, _deliveries.c.object_id.in_(among))
    return set((await connection.execute(select(_deliveries.c.object_id).where(*wanted).distinct())).scalars())


async def waiting_tests(connection: AsyncConnection, endpoint_id: str) -> int:
    """Return how many test events are pending."""
    found: int = (await connection.execute(_TESTS, {"endpoint_id": endpoint_id})).scalar_one()
    return found


async def find(connection: AsyncConnection, delivery_id: str, *, livemode: bool) -> ListedDelivery | None:
    """Return a delivery."""
    statement = _LISTED.where(_deliveries.c.id == delivery_id, _of_mode(livemode=livemode))
    row: Any = (await connection.execute(statement)).first()
    found: ListedDelivery | None = row
    return found


async def list_page(
    connection: AsyncConnection, *, livemode: bool, page: Page, wanted: Mapping[str, str | None]
) -> tuple[Sequence[ListedDelivery], bool]:
    """Return a page of deliveries, newest first, and whether there are more.

    Args:
        connection: to read from.
        livemode: Stripe's mode.
        page: that was asked for.
        wanted: what columns are to hold; None: anything.

    Raises:
        UnknownCursor: the page is to begin at no delivery.
    """
    conditions = [_deliveries.c[name] == value for name, value in wanted.items() if value is not None]
    among = (_of_mode(livemode=livemode),)
    found: Any
    found, more = await read_page(connection, _LISTED.where(*conditions), order=_ORDER, page=page, among=among)
    rows: Sequence[ListedDelivery] = found
    return rows, more


async def move(
    connection: AsyncConnection, delivery_id: str, *, among: Collection[str], values: Mapping[str, object]
) -> bool:
    """Change a delivery if it is in one of these states; tell whether it was."""
    statement = update(_deliveries).where(_deliveries.c.id == delivery_id, _deliveries.c.state.in_(among))
    return bool((await connection.execute(statement.values(dict(values)))).rowcount)


async def measure(connection: AsyncConnection, *, livemode: bool) -> tuple[datetime | None, dict[str, int]]:
    """Return since when the oldest delivery waits, of those of enabled endpoints, and how many endpoints do how.

    What a replay sends again is old whatever it waits for, and does not count.
    """
    ours = _endpoints.c.livemode == livemode
    enabled = exists(select(1).where(_endpoints.c.id == _deliveries.c.endpoint_id, _endpoints.c.enabled, ours))
    new = (_deliveries.c.state == PENDING, _deliveries.c.replay_id.is_(None))
    waiting = select(func.min(_deliveries.c.created_at)).where(*new, enabled)
    oldest: datetime | None = (await connection.execute(waiting)).scalar_one()
    states = dict.fromkeys(("working", "failing", "disabled"), 0)
    for is_enabled, since in await connection.execute(
        select(_endpoints.c.enabled, _endpoints.c.failing_since).where(ours)
    ):
        states["disabled" if not is_enabled else "working" if since is None else "failing"] += 1
    return oldest, states


async def trim(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Remove some deliveries that were settled before a moment, or whose endpoint is gone; return how many."""
    orphaned = ~exists(select(1).where(_endpoints.c.id == _deliveries.c.endpoint_id))
    removed = 0
    for condition in (_deliveries.c.settled_at < before, orphaned):
        chosen = list((await connection.execute(select(_deliveries.c.id).where(condition).limit(limit))).scalars())
        if chosen:
            removed += (await connection.execute(delete(_deliveries).where(_deliveries.c.id.in_(chosen)))).rowcount
    return removed


def _of_mode(*, livemode: bool) -> ColumnElement[bool]:
    return exists(select(1).where(_endpoints.c.id == _deliveries.c.endpoint_id, _endpoints.c.livemode == livemode))
