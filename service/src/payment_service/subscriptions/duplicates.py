"""Live subscriptions of one person to one product that nobody asked for.

The slot guards what we are about to do. What Checkout or a person in the Dashboard adds at the same moment it cannot
keep away, so that is told instead: once for each pair, by an outbox row `subscription.duplicate` of the younger one
whose cause is the older one, and by a gauge for as long as both are live. Either is ended by its cancel route.

One person is one customer at Stripe, and whoever else has the address of a customer that was made here by address
alone. Not told are subscriptions ordered here with `allow_multiple`, those older than the import (what an account
brings with it was somebody's decision), and pairs whose younger one is older than `WATCHED_DAYS`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from sqlalchemy import and_, bindparam, or_, select, union_all

from payment_service.customers.history import IMPORT
from payment_service.platform.cursors import add_cursor, read_cursor, read_cursors, write_cursor
from payment_service.platform.mirroring import write_outbox
from payment_service.tables import LIVE_STATUSES, customers, subscriptions

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.platform.database import Database

TOLD: Final = "subscriptions.duplicates"
"""The cursor that holds the pairs which were told and are still live."""
EVENT: Final = "subscription.duplicate"
WATCHED_DAYS: Final = 7
LIMIT: Final = 10_000
"""Pairs of subscriptions of one person that are looked at, the youngest first."""

_young, _old = subscriptions.alias("young"), subscriptions.alias("old")
_mine, _theirs = customers.alias("mine"), customers.alias("theirs")
_SHOWN: Final = ("id", "stripe_subscription_id", "stripe_customer_id", "product_id", "items")
_PAIR: Final = tuple(
    table.c[name].label(f"{prefix}_{name}") for prefix, table in (("young", _young), ("old", _old)) for name in _SHOWN
)
_UNASKED: Final[ColumnElement[bool]] = and_(
    _young.c.livemode == bindparam("livemode"),
    _young.c.created_at >= bindparam("since"),
    _young.c.status.in_(LIVE_STATUSES),
    or_(
        _young.c.operation_id.is_(None),
        _young.c.exclusive,
        _young.c.ordered_product_id.is_(None),
        _young.c.ordered_product_id != _young.c.product_id,
    ),
    _old.c.livemode == _young.c.livemode,
    _old.c.status.in_(LIVE_STATUSES),
    or_(
        _old.c.created_at < _young.c.created_at,
        and_(_old.c.created_at == _young.c.created_at, _old.c.id < _young.c.id),
    ),
)
_SAME_ADDRESS: Final[ColumnElement[bool]] = and_(
    _mine.c.livemode == _young.c.livemode,
    _mine.c.stripe_customer_id == _young.c.stripe_customer_id,
    _theirs.c.livemode == _mine.c.livemode,
    _theirs.c.address_key == _mine.c.address_key,
    _theirs.c.id != _mine.c.id,
    or_(_mine.c.email_key.is_not(None), _theirs.c.email_key.is_not(None)),
    _old.c.stripe_customer_id == _theirs.c.stripe_customer_id,
)
_times = (_young.c.created_at.label("young_created_at"), _old.c.created_at.label("old_created_at"))
_FOUND: Final = union_all(
    select(*_PAIR, *_times).where(_UNASKED, _old.c.stripe_customer_id == _young.c.stripe_customer_id),
    select(*_PAIR, *_times).where(_UNASKED, _SAME_ADDRESS),
).subquery()
_PAIRS: Final = (
    select(_FOUND)
    .order_by(_FOUND.c.young_created_at.desc(), _FOUND.c.young_id, _FOUND.c.old_created_at, _FOUND.c.old_id)
    .limit(LIMIT)
)

log = structlog.get_logger("payments")


class Pair(NamedTuple):
    """Two live subscriptions of one person with a product in common."""

    young: dict[str, Any]
    old: dict[str, Any]
    product_id: str

    @property
    def name(self) -> str:
        """Name the pair."""
        return f"{self.young['id']} {self.old['id']}"


async def watch(database: Database, *, livemode: bool, now: datetime) -> int:
    """Tell of each pair that was not told before, and return how many there are."""
    async with database.read() as connection:
        found = await read_cursors(connection, IMPORT, TOLD)
        if IMPORT not in found:
            return 0
        began = datetime.fromtimestamp(found[IMPORT]["began_at"], tz=UTC)
        since = max(began, now - timedelta(days=WATCHED_DAYS))
        pairs = await _find(connection, livemode=livemode, since=since)
    if pairs.keys() != set(found.get(TOLD, {}).get("pairs", ())):
        pairs = await _tell(database, livemode=livemode, since=since, now=now)
    return len(pairs)


async def _find(connection: AsyncConnection, *, livemode: bool, since: datetime) -> dict[str, Pair]:
    """Pair each subscription of `since` or later with the oldest one of the same person with one of its products."""
    found: dict[str, Pair] = {}
    for row in await connection.execute(_PAIRS, {"livemode": livemode, "since": since}):
        young, old = _side(row, "young"), _side(row, "old")
        common = _products(young) & _products(old)
        if common and young["id"] not in found:
            found[young["id"]] = Pair(young, old, min(common))
    return {pair.name: pair for pair in found.values()}


def _side(row: Row[Any], prefix: str) -> dict[str, Any]:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    return {name: values[f"{prefix}_{name}"] for name in _SHOWN}


def _products(side: dict[str, Any]) -> set[str]:
    """Return the products of all items."""
    return {found for item in side["items"] if (found := item.get("product_id"))} | {side["product_id"]} - {""}


async def _tell(database: Database, *, livemode: bool, since: datetime, now: datetime) -> dict[str, Pair]:
    """Look again under a lock, so that two workers that find a pair tell it once; write an event of each new one."""
    async with database.transaction() as connection:
        await add_cursor(connection, TOLD, {"pairs": []}, now=now)
        told = set((await read_cursor(connection, TOLD, lock=True) or {})["pairs"])
        pairs = await _find(connection, livemode=livemode, since=since)
        new = [pair for name, pair in pairs.items() if name not in told]
        for pair in new:
            await write_outbox(
                connection,
                object_type=EVENT,
                object_id=pair.young["id"],
                before=None,
                after=_shown(pair),
                cause=pair.old["id"],
                now=now,
            )
        await write_cursor(connection, TOLD, {"pairs": sorted(pairs)}, now=now)
    for pair in new:
        log.warning("subscription_duplicate", **_shown(pair))
    return pairs


def _shown(pair: Pair) -> dict[str, str]:
    return {
        "subscription_id": pair.young["id"],
        "stripe_subscription_id": pair.young["stripe_subscription_id"],
        "stripe_customer_id": pair.young["stripe_customer_id"],
        "other_subscription_id": pair.old["id"],
        "other_stripe_subscription_id": pair.old["stripe_subscription_id"],
        "other_stripe_customer_id": pair.old["stripe_customer_id"],
        "product_id": pair.product_id,
    }
