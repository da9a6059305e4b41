"""Which events an endpoint gets: of what types, about whom."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from payment_service.errors import Unprocessable
from payment_service.feed.filters import ALL_TYPES
from payment_service.mirror.charge import charges
from payment_service.mirror.invoice import invoices
from payment_service.mirror.payment_intent import payment_intents
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.feed.schemas import FeedEvent

ANY: Final = ".*"
"""How a pattern ends that means all types of a kind."""
_KINDS: Final = frozenset(known.partition(".")[0] + ANY for known in ALL_TYPES)
_PARENTS: Final = {"charge_id": charges, "payment_intent_id": payment_intents, "invoice_id": invoices}
"""Where the customer of an object stands that does not name its own, by the member that names the other object."""


def check_types(types: Iterable[str]) -> None:
    """Hold patterns to the types that there are.

    Raises:
        Unprocessable: there is no such type; the message names the nearest one.
    """
    for wanted in types:
        if wanted not in ALL_TYPES and wanted not in _KINDS:
            near = get_close_matches(wanted, sorted(ALL_TYPES | _KINDS), n=1)
            message = f"there is no type {wanted}" + (f"; did you mean {near[0]}?" if near else "")
            raise Unprocessable(f"event_types: {message}", errors=[{"field": "event_types", "message": message}])


def known_types(types: Sequence[str]) -> tuple[str, ...] | None:
    """Return those of an endpoint's types that there are in this version; None: it wants some, and none of them is."""
    known = tuple(wanted for wanted in types if wanted in ALL_TYPES or wanted in _KINDS)
    return None if types and not known else known


async def about(
    connection: AsyncConnection, events: Sequence[FeedEvent], *, metadata: Mapping[str, str]
) -> list[FeedEvent]:
    """Return those events whose customer has all of this metadata now; all of them when it is empty."""
    if not metadata or not events:
        return list(events)
    names = {event.id: await _customer_of(connection, event) for event in events}
    known = {name for name in names.values() if name is not None}
    statement = select(customers.c.id, customers.c.stripe_customer_id, customers.c.metadata).where(
        customers.c.id.in_(known) | customers.c.stripe_customer_id.in_(known)
    )
    matching: set[str | None] = set()
    for own, stripe, held in await connection.execute(statement):
        if metadata.items() <= (held or {}).items():
            matching |= {own, stripe} - {None}
    return [event for event in events if names[event.id] in matching]


async def _customer_of(connection: AsyncConnection, event: FeedEvent) -> str | None:
    """Return our id or Stripe's of the customer whom an event is about; None: of none, or of one not known here."""
    if event.type.startswith("customer."):
        return event.object_id
    members = event.data.object or event.data.previous or {}
    for name in ("customer_id", "stripe_customer_id"):
        if members.get(name):
            return str(members[name])
    for name, table in _PARENTS.items():
        if members.get(name):
            statement = select(table.c.stripe_customer_id).where(table.c.id == str(members[name]))
            found: str | None = (await connection.execute(statement)).scalar_one_or_none()
            if found is not None:
                return found
    return None
