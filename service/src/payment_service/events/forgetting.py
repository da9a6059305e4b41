"""Takes what is personal out of settled events about a customer who is erased.

What Stripe signed is kept, whatever it holds, for as long as it may be of use. Of an erased customer it is of none: a
replay fetches the object as it is now. So of the payload stays what the row says of it, and the kind of the object.
Events of kinds that are not mirrored name their customer nowhere but in the payload; they go with their retention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import bindparam, select, update

from payment_service.customers.people import objects_of
from payment_service.events import payloads
from payment_service.storage.expressions import Among
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.mirror.person import Person

BATCH: Final = 200
_SHOWN: Final = ("id", "type", "object_id", "api_version", "livemode", "stripe_created", "payload")
_OF_PERSON: Final = Among(events.c.object_id, "ids")
_SETTLED: Final = (
    select(*(events.c[column] for column in _SHOWN))
    .where(_OF_PERSON, events.c.state != "pending", events.c.erased_at.is_(None))
    .limit(BATCH)
)
_WAITING: Final = select(events.c.id).where(_OF_PERSON, events.c.state == "pending").limit(1)
_FORGET: Final = (
    update(events)
    .where(events.c.id == bindparam("e_id"), events.c.state != "pending")
    .values(payload=bindparam("n_payload"), fetch=True, erased_at=bindparam("n_at"))
)


async def waits(connection: AsyncConnection, person: Person) -> bool:
    """Tell whether an event about the person is not settled yet."""
    ids = await objects_of(connection, person)
    return (await connection.execute(_WAITING, {"ids": ids})).first() is not None


async def forget_events(connection: AsyncConnection, person: Person, *, clock: Clock) -> int:
    """Reduce settled events about the person, at most `BATCH`, and return how many."""
    ids = await objects_of(connection, person)
    rows = (await connection.execute(_SETTLED, {"ids": ids})).all()
    if rows:
        await connection.execute(
            _FORGET, [{"e_id": row.id, "n_payload": reduce(row), "n_at": clock.now()} for row in rows]
        )
    return len(rows)


def reduce(row: Row[*tuple[object, ...]]) -> bytes:
    """Return what stays of a payload: an event that shows no state. Pure.

    A thin event shows none, and stays as it is.
    """
    body = bytes(row.payload)
    try:
        payload = payloads.read(body)
    except payloads.Unreadable:
        payload = payloads.outline(body, livemode=row.livemode)
    if payload.thin:
        return body
    told = {"id": row.object_id} if row.object_id != row.id else {}
    content = {
        "id": row.id,
        "object": "event",
        "api_version": row.api_version,
        "created": row.stripe_created,
        "livemode": row.livemode,
        "type": row.type,
        "data": {"object": told | {"object": payload.object.get("object")}},
    }
    return msgspec.json.encode(content | ({"account": payload.account} if payload.account else {}))
