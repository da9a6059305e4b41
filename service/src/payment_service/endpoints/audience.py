"""Which events an endpoint gets by whom they are about: the customer's metadata say it.

They count as they are when the event is looked at. Stripe's events come in any order, so a customer may be known later
than what is about it: an event that is new waits for that, and what comes after it too. A deleted customer has none any
more, while that it was deleted is what its receivers have to know: so for it those count that the deletion took away,
as long as the outbox tells of them. When they are erased no record of them may be left. Then an endpoint gets what is
about a customer or an object of which it was sent something before, which was decided by the metadata of then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import select

from payment_service.endpoints import queue
from payment_service.feed import store
from payment_service.mirror.charge import charges
from payment_service.mirror.invoice import invoices
from payment_service.mirror.payment_intent import payment_intents
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import EndpointRow
    from payment_service.feed.schemas import FeedEvent
    from payment_service.feed.states import ToldChange

_PARENTS: Final = {"charge_id": charges, "payment_intent_id": payment_intents, "invoice_id": invoices}
"""Where the customer of an object stands that does not name its own, by the member that names the other object."""


class Audience(NamedTuple):
    """Which of some events an endpoint gets."""

    events: list[FeedEvent]
    undecided: int | None
    """Sequence of the first of which that is not known yet, for nothing is known of its customer; None: of none."""


class _Customer(NamedTuple):
    """What is known of one."""

    names: frozenset[str]
    """Our id and Stripe's."""
    metadata: Mapping[str, object] | None
    """None: erased."""


async def about(connection: AsyncConnection, events: Sequence[FeedEvent], *, row: EndpointRow) -> Audience:
    """Return those events whose customer has all of the metadata that an endpoint wants; all when it wants none."""
    if not row.customer_metadata or not events:
        return Audience(list(events), None)
    names = {event.id: await _customer_of(connection, event) for event in events}
    known = await _customers(connection, {name for name in names.values() if name})
    unknown = (event.sequence for event in events if (name := names[event.id]) is not None and name not in known)
    found = [(event, known[name]) for event in events if (name := names[event.id]) in known]
    erased = {event.id: {event.object_id, *customer.names} for event, customer in found if customer.metadata is None}
    sent = await queue.objects_of(connection, row.id, among=set().union(*erased.values())) if erased else set()
    wanted = row.customer_metadata.items()
    chosen = [
        event
        for event, customer in found
        if (not sent.isdisjoint(erased[event.id]) if customer.metadata is None else wanted <= customer.metadata.items())
    ]
    return Audience(chosen, min(unknown, default=None))


async def _customers(connection: AsyncConnection, wanted: Collection[str]) -> dict[str | None, _Customer]:
    """Return the customers that there are of these, by each of their names."""
    columns = (customers.c.id, customers.c.stripe_customer_id, customers.c.metadata, customers.c.deleted)
    named = customers.c.id.in_(wanted) | customers.c.stripe_customer_id.in_(wanted)
    rows = (await connection.execute(select(*columns).where(named))).all()
    names = {row.id: frozenset({row.id, row.stripe_customer_id} - {None}) for row in rows}
    gone = {(customers.name, name): row.id for row in rows if row.deleted for name in names[row.id]}
    told = await store.changes_of(connection, gone, since=0) if gone else {}
    found: dict[str | None, _Customer] = {}
    for row in rows:
        metadata = _last(told.get((customers.name, row.id), ())) if row.deleted else row.metadata or {}
        found |= dict.fromkeys(names[row.id], _Customer(names[row.id], metadata))
    return found


def _last(told: Sequence[ToldChange]) -> Mapping[str, object] | None:
    """Return what metadata a deletion took away; None: it is erased, or not told of any more."""
    for one in reversed(told):
        if isinstance(one.before, dict) and isinstance(one.after, dict) and one.after.get("deleted"):
            held = one.before.get("metadata", {})  # none that was empty: the outbox tells what differs
            return held if isinstance(held, dict) else None
    return None


async def _customer_of(connection: AsyncConnection, event: FeedEvent) -> str | None:
    """Return our id or Stripe's of the customer whom an event is about; None: there is none; empty: not known yet."""
    if event.type.startswith("customer."):
        return event.object_id
    members = event.data.object or event.data.previous or {}
    for name in ("customer_id", "stripe_customer_id"):
        if members.get(name):
            return str(members[name])
    for name, table in _PARENTS.items():
        if members.get(name):
            statement = select(table.c.stripe_customer_id).where(table.c.id == str(members[name]))
            row = (await connection.execute(statement)).first()
            if row is None:
                return ""
            if row.stripe_customer_id is not None:
                return str(row.stripe_customer_id)
    return None
