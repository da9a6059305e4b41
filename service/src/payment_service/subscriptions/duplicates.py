"""Live subscriptions of one person to one product that nobody asked for.

The slot guards what we are about to do. What Checkout or a person in the Dashboard does it cannot keep away, so that is
told instead, whichever way it comes to be: by a further subscription, a plan switch, an added item, a changed address.
Each pair is told once, by an outbox row `subscription.duplicate` of the one that came to the product last, whose cause
is the other one, and then counted by a gauge for `COUNTED_DAYS` while both are live. Either is ended by its cancel
route. A pair that ceases to be one and becomes one again is told again.

One person is one customer at Stripe, and whoever else has the address of a customer that was made here by address
alone. Not told are subscriptions ordered here with `allow_multiple`, and pairs that are older than the import: what an
account brings with it was somebody's decision. Looked at is what was seen first, or has changed in one of these ways,
in the last `LOOKED_AT_DAYS`: a worker may have been away for as long.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import structlog
from sqlalchemy import and_, bindparam, cast, null, or_, select, union_all

from payment_service.mirror.joining import products_of
from payment_service.mirror.kind import IMPORT
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.cursors import add_cursor, read_cursor, read_cursors, write_cursor
from payment_service.storage.expressions import Among, ShareMember
from payment_service.storage.mirror import write_outbox
from payment_service.storage.tables import LIVE_STATUSES, customers, subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.database import Database

TOLD: Final = "subscriptions.duplicates"
"""The cursor that holds the pairs which were told and are still live, and when they were told, in seconds."""
EVENT: Final = "subscription.duplicate"
LOOKED_AT_DAYS: Final = 7
COUNTED_DAYS: Final = 7
LIMIT: Final = 10_000
"""Pairs that are looked at, the youngest first."""

_last, _first = subscriptions.alias("last"), subscriptions.alias("first")
_mine, _theirs = customers.alias("mine"), customers.alias("theirs")
_SHOWN: Final = (
    "id",
    "stripe_subscription_id",
    "stripe_customer_id",
    "product_id",
    "ordered_product_id",
    "items",
    "operation_id",
    "exclusive",
    "joined",
    "created_at",
)
_SIDES: Final = tuple(
    table.c[name].label(f"{prefix}_{name}") for prefix, table in (("last", _last), ("first", _first)) for name in _SHOWN
)
_SINCE: Final[ColumnElement[datetime]] = bindparam("since")
_BOTH_LIVE: Final[ColumnElement[bool]] = and_(
    _last.c.livemode == bindparam("livemode"),
    _last.c.status.in_(LIVE_STATUSES),
    _first.c.livemode == _last.c.livemode,
    _first.c.status.in_(LIVE_STATUSES),
    _first.c.id != _last.c.id,
    or_(_first.c.product_id == _last.c.product_id, ShareMember(_last.c["items"], _first.c["items"], "product_id")),
)
_SAME_ADDRESS: Final[ColumnElement[bool]] = and_(
    _mine.c.livemode == _last.c.livemode,
    _mine.c.stripe_customer_id == _last.c.stripe_customer_id,
    _theirs.c.livemode == _mine.c.livemode,
    _theirs.c.address_key == _mine.c.address_key,
    _theirs.c.id != _mine.c.id,
    or_(_mine.c.email_key.is_not(None), _theirs.c.email_key.is_not(None)),
    _first.c.stripe_customer_id == _theirs.c.stripe_customer_id,
)
_MOVED: Final = (_mine.c.address_since.label("mine_since"), _theirs.c.address_since.label("theirs_since"))
_NEVER: Final = (cast(null(), UtcDateTime).label("mine_since"), cast(null(), UtcDateTime).label("theirs_since"))


def _rows() -> Select[Any]:
    """Build the statement: by each of the ways in which a pair comes to be."""
    recent = and_(
        or_(_last.c.created_at >= _SINCE, _last.c.joined_at >= _SINCE, Among(_last.c.id, "told")),
        # leaves out those ordered with allow_multiple that are as they were
        or_(_last.c.operation_id.is_(None), _last.c.exclusive, _last.c.joined_at.is_not(None)),
    )
    one_customer = _first.c.stripe_customer_id == _last.c.stripe_customer_id
    one_address = (recent, _mine.c.address_since >= _SINCE, _theirs.c.address_since >= _SINCE)
    found = union_all(
        select(*_SIDES, *_NEVER).where(_BOTH_LIVE, one_customer, recent),
        *(select(*_SIDES, *_MOVED).where(_BOTH_LIVE, _SAME_ADDRESS, way) for way in one_address),
    ).subquery()
    return select(found).order_by(found.c.last_created_at.desc(), found.c.last_id, found.c.first_id).limit(LIMIT)


_ROWS: Final = _rows()

log = structlog.get_logger("payments")


class Side(NamedTuple):
    """One of two live subscriptions: the columns of `_SHOWN`."""

    id: str
    stripe_subscription_id: str
    stripe_customer_id: str
    product_id: str
    ordered_product_id: str | None
    items: list[dict[str, object]]
    operation_id: str | None
    exclusive: bool
    joined: dict[str, float | None]
    created_at: datetime


class PairRow(Protocol):
    """A row of `_ROWS`; the columns of both sides are in its mapping."""

    mine_since: datetime | None
    theirs_since: datetime | None

    @property
    def _mapping(self) -> RowMapping:
        """By the columns' names."""


class Pair(NamedTuple):
    """Two live subscriptions of one person with a product in common."""

    last: Side
    """The one that came to the product last."""
    first: Side
    product_id: str

    @property
    def name(self) -> str:
        """Name the pair."""
        return f"{self.last.id} {self.first.id}"


class Found(NamedTuple):
    """What a look has found."""

    pairs: dict[str, Pair]
    whole: bool
    """False: there may be more than was looked at."""


async def watch(database: Database, *, livemode: bool, now: datetime) -> int:
    """Tell of each pair that was not told before, and return how many are counted."""
    async with database.read() as connection:
        cursors = await read_cursors(connection, IMPORT, TOLD)
        if IMPORT not in cursors:
            return 0
        began = cursors[IMPORT]["began_at"]
        names, times = _known_pairs(cursors.get(TOLD))
        found = await _find(connection, livemode=livemode, began=began, told=names, now=now)
    if found.pairs.keys() - times.keys() or (found.whole and times.keys() - found.pairs.keys()):
        times = await _record(database, livemode=livemode, began=began, now=now)
    counted = (now - timedelta(days=COUNTED_DAYS)).timestamp()
    return sum(at >= counted for at in times.values())


def _known_pairs(value: Mapping[str, object] | None) -> tuple[set[str], dict[str, float]]:
    """Return the names of the pairs that were told, and when, which the version before does not write."""
    held = value or {}
    times = msgspec.convert(held.get("told_at", {}), dict[str, float])
    return {*msgspec.convert(held.get("pairs", []), list[str]), *times}, times


async def _find(
    connection: AsyncConnection, *, livemode: bool, began: int, told: Iterable[str], now: datetime
) -> Found:
    """Pair each subscription with the one that had one of its products longest."""
    since = now - timedelta(days=LOOKED_AT_DAYS)
    names = sorted({name.partition(" ")[0] for name in told})
    rows = (await connection.execute(_ROWS, {"livemode": livemode, "since": since, "told": names})).all()
    longest: dict[tuple[str, str], tuple[float, str, Pair]] = {}
    for row in rows:
        for pair in _pairs_of(row, began=began):
            candidate = (_since(pair.first, pair.product_id), pair.first.id, pair)
            key = (pair.last.id, pair.product_id)
            longest[key] = min(longest.get(key, candidate), candidate, key=lambda found: found[:2])
    chosen = [longest[key][-1] for key in sorted(longest, reverse=True)]
    return Found({pair.name: pair for pair in chosen}, whole=len(rows) < LIMIT)


def _pairs_of(row: PairRow, *, began: int) -> list[Pair]:
    """Return what the two are a pair by: one of each product to which the one came last, unasked. Pure."""
    last, first = _side(row, "last"), _side(row, "first")
    moved = max((at.timestamp() for at in (row.mine_since, row.theirs_since) if at), default=0)
    return [
        Pair(last, first, product)
        for product in products_of(last.items, last.product_id) & products_of(first.items, first.product_id)
        if (_since(last, product), last.id) > (_since(first, product), first.id)
        and max(_since(last, product), moved) >= began
        and (moved > _since(last, product) or not _is_asked_for(last, product))
    ]


def _side(row: PairRow, prefix: str) -> Side:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    return Side(**{name: values[f"{prefix}_{name}"] for name in _SHOWN})


def _since(side: Side, product: str) -> float:
    """Return since when a subscription has a product, in seconds."""
    joined = side.joined.get(product)
    return side.created_at.timestamp() if joined is None else joined


def _is_asked_for(side: Side, product: str) -> bool:
    """Tell whether it was ordered here with `allow_multiple` for this product, which it has had since."""
    ordered = side.operation_id is not None and side.ordered_product_id == product
    return ordered and not side.exclusive and side.joined.get(product) is None


async def _record(database: Database, *, livemode: bool, began: int, now: datetime) -> dict[str, float]:
    """Look again under a lock, so that two workers that find a pair tell it once; write an event of each new one."""
    async with database.transaction() as connection:
        await add_cursor(connection, TOLD, {"pairs": []}, now=now)
        names, times = _known_pairs(await read_cursor(connection, TOLD, lock=True))
        found = await _find(connection, livemode=livemode, began=began, told=names, now=now)
        new = [pair for name, pair in found.pairs.items() if name not in names]
        for pair in new:
            await write_outbox(
                connection,
                object_type=EVENT,
                object_id=pair.last.id,
                before=None,
                after=_shown(pair),
                cause=pair.first.id,
                now=now,
            )
        kept = found.pairs.keys() if found.whole else found.pairs.keys() | names
        times = {name: times.get(name, now.timestamp()) for name in sorted(kept)}
        await write_cursor(connection, TOLD, {"pairs": sorted(kept), "told_at": times}, now=now)
    for pair in new:
        log.warning("subscription_duplicate", **_shown(pair))
    return times


def _shown(pair: Pair) -> dict[str, str]:
    return {
        "subscription_id": pair.last.id,
        "stripe_subscription_id": pair.last.stripe_subscription_id,
        "stripe_customer_id": pair.last.stripe_customer_id,
        "other_subscription_id": pair.first.id,
        "other_stripe_subscription_id": pair.first.stripe_subscription_id,
        "other_stripe_customer_id": pair.first.stripe_customer_id,
        "product_id": pair.product_id,
    }
