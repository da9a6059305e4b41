"""SQL of the inbox. A row is the job: there is no second queue that could lose it.

Events of one object are applied by one worker at a time. A claim takes whole objects: a lock on the object's name
excludes a second claim of it at the same moment, and a lease on any of its rows excludes a later one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import Text, and_, bindparam, exists, func, or_, select, true

from payment_service.events.rows import OTHER_ACCOUNT
from payment_service.events.schemas import ClaimedEvent
from payment_service.storage.expressions import Among, TakesLock
from payment_service.storage.statements import ChangeRows, RemoveRows, Upsert
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.events.rows import EventRow

_LOCK_SEED: Final = 7_261_001
"""Keeps these locks apart from others in the same database."""
REARMED: Final = (
    "type",
    "object_id",
    "group_key",
    "api_version",
    "livemode",
    "stripe_created",
    "payload",
    "state",
    "attempts",
    "available_at",
    "settled_at",
    "fetch",
    "last_error",
    "erased_at",
)
"""What a redelivery of an event that failed brings anew."""


def _waits_after_failure(new: Mapping[str, ColumnElement[object]]) -> ColumnElement[bool]:
    """Return the condition on which a redelivery arms an event again; any other is nothing new."""
    waits = and_(
        events.c.state == "pending",
        events.c.last_error.is_not(None),
        events.c.available_at > new["available_at"],
    )
    return or_(events.c.state == "dead", waits)


def _was_of_another_account(new: Mapping[str, ColumnElement[object]]) -> ColumnElement[bool]:
    """Return the condition on which what our account lists is new although there is a row."""
    return and_(events.c.state == "ignored", events.c.last_error == OTHER_ACCOUNT, new["state"] == "pending")


ARRIVED: Final = Upsert(
    events,
    key=(events.c.id,),
    changed=REARMED,
    when=_waits_after_failure,
    batch=("id", *(name for name in REARMED if name != "erased_at"), "source", "received_at"),
)
"""Inserts what was delivered."""
_MISSED: Final = Upsert(
    events,
    key=(events.c.id,),
    changed=(*REARMED, "source"),
    when=_was_of_another_account,
    returning=(events.c.id,),
)
_PENDING: Final = events.c.state == "pending"
_FREE: Final = or_(events.c.lease_expires_at.is_(None), events.c.lease_expires_at <= bindparam("now"))
_held = events.alias("held")
_OBJECT_HELD: Final = exists(
    select(1).where(
        _held.c.group_key == events.c.group_key, _held.c.state == "pending", _held.c.lease_expires_at > bindparam("now")
    )
)


def _objects() -> Select[str]:
    """Choose objects with due events that nobody works on, oldest first, and lock them until the commit.

    Rows that another worker is just choosing are passed over, so that two that claim at once share what waits.
    """
    due = (
        select(events.c.group_key)
        .where(_PENDING, _FREE, ~_OBJECT_HELD)
        .where(events.c.available_at <= bindparam("now"), events.c.fetch == bindparam("in_doubt"))
        .order_by(events.c.available_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True, of=events)
        .subquery()
    )
    keys = select(due.c.group_key).distinct().subquery()
    return select(keys.c.group_key).where(TakesLock(keys.c.group_key, seed=_LOCK_SEED))


_CLAIMED: Final = tuple(events.c[name] for name in ClaimedEvent.__struct_fields__)


def _claim() -> ChangeRows:
    """Lease the due events of the chosen objects; before a fetch all of them, for it tells of them all.

    Without one those in doubt stay: some of them show no state at all (`events/silent_changes.py`).
    """
    chosen = (
        select(events.c.id)
        .where(_PENDING, _FREE, ~_OBJECT_HELD, Among(events.c.group_key, "keys"))
        .where(or_(and_(events.c.available_at <= bindparam("now"), ~events.c.fetch), bindparam("in_doubt") == true()))
        .order_by(events.c.stripe_created)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True, of=events)
    )
    values = {
        "lease_owner": bindparam("n_owner"),
        "lease_expires_at": bindparam("n_expires"),
        "attempts": events.c.attempts + 1,
    }
    return ChangeRows(events, values, returning=_CLAIMED, chosen=chosen)


def _change(**values: object) -> ChangeRows:
    """Change events that this worker holds, and give them back."""
    mine = (events.c.lease_owner == bindparam("owner"), _PENDING, Among(events.c.id, "ids"))
    values |= {"lease_owner": None, "lease_expires_at": None}
    return ChangeRows(events, values, returning=(events.c.id,), where=mine)


_OBJECTS: Final = _objects()
_CLAIM: Final = _claim()
_SETTLE: Final = _change(state=bindparam("n_state"), settled_at=bindparam("now"), last_error=bindparam("n_error"))
_AGAIN: Final = _change(
    available_at=bindparam("n_at"),
    attempts=events.c.attempts - bindparam("n_forgiven"),
    fetch=or_(events.c.fetch, bindparam("n_fetch") == true()),
    last_error=func.coalesce(bindparam("n_error", type_=Text), events.c.last_error),
)
_OLDEST: Final = select(func.min(events.c.received_at)).where(_PENDING)
_REMOVE: Final = RemoveRows(
    events,
    select(events.c.id)
    .where(events.c.state != "pending", events.c.settled_at < bindparam("before"))
    .limit(bindparam("limit")),
)
_DEAD: Final = select(func.count()).where(events.c.state == "dead")


async def insert_events(connection: AsyncConnection, rows: Sequence[EventRow]) -> None:
    """Insert events that are not there yet."""
    await ARRIVED.run_all(connection, rows)


async def insert_missed(connection: AsyncConnection, rows: Iterable[EventRow]) -> list[str]:
    """Insert events and return the ids of those that were not there."""
    made = [await _MISSED.run(connection, row) for row in rows]
    return [row.id for row in made if row is not None]


async def claim(
    connection: AsyncConnection, *, owner: str, now: datetime, lease_seconds: float, limit: int, fetch: bool
) -> list[ClaimedEvent]:
    """Take a lease on due events, those of an object together; with `fetch` those whose snapshots are in doubt."""
    due = {"now": now, "limit": limit, "in_doubt": fetch}
    keys = (await connection.execute(_OBJECTS, due)).scalars().all()
    if not keys:
        return []
    lease = {"n_owner": owner, "n_expires": now + timedelta(seconds=lease_seconds)}
    rows = await _CLAIM.run(connection, due | lease | {"keys": list(keys)})
    return [ClaimedEvent(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping


async def settle(
    connection: AsyncConnection, ids: Iterable[str], *, state: str, now: datetime, owner: str, error: str | None = None
) -> set[str]:
    """End events as applied, ignored or dead; return those that this worker still held."""
    values = {"n_state": state, "now": now, "owner": owner, "n_error": error, "ids": list(ids)}
    return {row.id for row in await _SETTLE.run(connection, values)}


async def try_again(
    connection: AsyncConnection,
    ids: Iterable[str],
    *,
    at: datetime,
    owner: str,
    forgive: bool,
    fetch: bool = False,
    error: str | None = None,
) -> None:
    """Give events back until `at`.

    Args:
        connection: in a transaction.
        ids: the events.
        at: when they may be claimed again.
        owner: of the lease.
        forgive: whether this attempt does not count: the fault was not the event's.
        fetch: whether the next attempt asks Stripe at once.
        error: what went wrong.
    """
    values = {"n_at": at, "n_forgiven": int(forgive), "n_fetch": fetch, "n_error": error, "owner": owner}
    await _AGAIN.run(connection, values | {"ids": list(ids)})


async def backlog(connection: AsyncConnection) -> tuple[datetime | None, int]:
    """Return when the oldest waiting event arrived, and how many are dead."""
    oldest = (await connection.execute(_OLDEST)).scalar_one()
    dead = (await connection.execute(_DEAD)).scalar_one()
    return oldest, dead


async def remove_settled(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Remove events settled before a moment, at most `limit` at a time."""
    return await _REMOVE.run(connection, {"before": before, "limit": limit})
