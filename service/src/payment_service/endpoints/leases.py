"""SQL of who holds an endpoint, and from when there is something to do for one.

Every statement of a holder is fenced: it changes the endpoint's row under the holder's lease first, and whoever lost
the lease, or whose endpoint was disabled or removed, is told by `LeaseLost` and has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, or_, select, update

from payment_service.feed.store import LAST
from payment_service.storage.webhook_tables import webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import EndpointRow

_LOOKED_AT: Final = select(
    webhook_endpoints.c.id,
    webhook_endpoints.c.reached,
    webhook_endpoints.c.resume_at,
    webhook_endpoints.c.due_at,
    webhook_endpoints.c.lease_until,
    LAST.scalar_subquery().label("last"),
).where(webhook_endpoints.c.enabled, webhook_endpoints.c.livemode == bindparam("livemode"))


class LeaseLost(Exception):
    """The endpoint is held by another worker, or was disabled or removed."""


class Claim(NamedTuple):
    """What a worker wants to take: endpoints that have something to do and that nobody holds."""

    owner: str
    """Of the lease, unique among all workers."""
    now: datetime
    until: datetime
    """When the lease ends unless it is renewed."""
    livemode: bool
    last: int
    """The sequence of the newest event."""
    held: tuple[str, ...]
    """Those that the worker holds already, however long ago it has renewed their leases."""
    limit: int


def _claimable(wanted: Claim) -> Select[Any]:
    statement = (
        select(webhook_endpoints.c.id)
        .where(
            webhook_endpoints.c.enabled,
            webhook_endpoints.c.livemode == wanted.livemode,
            webhook_endpoints.c.resume_at <= wanted.now,
        )
        .where(or_(webhook_endpoints.c.lease_until.is_(None), webhook_endpoints.c.lease_until <= wanted.now))
        .where(or_(webhook_endpoints.c.reached != wanted.last, webhook_endpoints.c.due_at <= wanted.now))
        .order_by(webhook_endpoints.c.resume_at)
        .limit(wanted.limit)
    )
    return statement.where(webhook_endpoints.c.id.not_in(wanted.held)) if wanted.held else statement


async def moments(connection: AsyncConnection, *, livemode: bool, held: Collection[str]) -> tuple[int, list[datetime]]:
    """Return the sequence of the newest event, and from when each endpoint, but those held, has something to do.

    The sequence is 0 where there is no endpoint that anything may be sent to.
    """
    last, found = 0, []
    for row in await connection.execute(_LOOKED_AT, {"livemode": livemode}):
        last, begins = row.last, row.resume_at if row.reached != row.last else row.due_at
        if row.id not in held and begins is not None:
            found.append(max(begins, row.resume_at, row.lease_until or begins))
    return last, found


async def claim(connection: AsyncConnection, wanted: Claim) -> list[str]:
    """Take endpoints; return their ids."""
    chosen = _claimable(wanted).with_for_update(skip_locked=True)
    found = list((await connection.execute(chosen)).scalars())
    if found:
        lease = {"lease_owner": wanted.owner, "lease_until": wanted.until}
        await connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id.in_(found)).values(lease))
    return found


async def renew(
    connection: AsyncConnection, endpoint_id: str, *, owner: str, until: datetime, values: Mapping[str, object]
) -> EndpointRow:
    """Prolong a lease, change the endpoint, and return it as it is then; nobody else changes it until the commit.

    Raises:
        LeaseLost: see there.
    """
    held = (webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.lease_owner == owner)
    statement = (
        update(webhook_endpoints).where(*held, webhook_endpoints.c.enabled).values({"lease_until": until, **values})
    )
    if not (await connection.execute(statement)).rowcount:
        raise LeaseLost(endpoint_id)
    found: Any = (await connection.execute(select(webhook_endpoints).where(*held))).first()
    row: EndpointRow = found
    return row


async def release(connection: AsyncConnection, endpoint_id: str, *, owner: str) -> EndpointRow | None:
    """Give a lease back and return the endpoint, which nobody else changes until the commit; None: it is lost."""
    ours = webhook_endpoints.c.id == endpoint_id
    statement = update(webhook_endpoints).where(ours, webhook_endpoints.c.lease_owner == owner)
    if not (await connection.execute(statement.values({"lease_owner": None, "lease_until": None}))).rowcount:
        return None
    found: Any = (await connection.execute(select(webhook_endpoints).where(ours))).first()
    row: EndpointRow | None = found
    return row


async def leave(connection: AsyncConnection, endpoint_id: str, values: Mapping[str, object]) -> None:
    """Say when an endpoint that was given back, in this transaction, is to be looked at again."""
    await connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).values(values))
