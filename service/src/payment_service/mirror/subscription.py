"""Subscriptions (docs.stripe.com/api/subscriptions/object).

A row may be there before Stripe's object is: an operation of ours reserved it, and is found by its mark in the
metadata, so that an event that arrives before our own recording meets the same row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, or_, select

from payment_service.mirror.joining import first_seen, seen_again
from payment_service.mirror.kind import IMPORT, Columns, Kind, Part, ends
from payment_service.mirror.person import foreign_id, is_filled
from payment_service.mirror.subscription_shape import Subscription
from payment_service.storage.mirror import NeedsFetch, lock, mirror, moment
from payment_service.storage.statements import ChangeRows
from payment_service.storage.tables import customers, operations, subscriptions
from payment_service.stripe_api.objects import id_of, read

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.json_types import JsonObject
    from payment_service.mirror.person import Person
    from payment_service.storage.mirror import Provenance

    StoredRow = Row[*tuple[object, ...]]

TERMINAL: Final = ("canceled", "incomplete_expired")
"""Statuses that never change again (docs.stripe.com/billing/subscriptions/overview#subscription-statuses)."""
ITEMS: Final = Part("items", "subscription_items", "subscription")
"""At most ten are shown (docs.stripe.com/api/subscriptions/object), and 20 allowed."""
_ENDED: Final = ends(*TERMINAL)
_OTHER: Final = subscriptions.alias()
_ADOPT: Final = ChangeRows(
    subscriptions,
    {"stripe_subscription_id": bindparam("s_id")},
    returning=tuple(subscriptions.c),
    where=(
        subscriptions.c.operation_id == bindparam("o_id"),
        subscriptions.c.stripe_subscription_id.is_(None),
        ~select(_OTHER.c.id).where(_OTHER.c.stripe_subscription_id == bindparam("s_id")).exists(),
    ),
)
"""Gives the row that an operation reserved to the subscription that Stripe made for it; one that has a row already
keeps that, whatever a person writes into its metadata at Stripe."""
_ORDERED: Final = select(operations.c.facts).where(operations.c.id == bindparam("id"))
_OUR_CUSTOMER: Final = select(customers.c.id).where(customers.c.stripe_customer_id == bindparam("id"))


async def write(connection: AsyncConnection, obj: JsonObject, *, provenance: Provenance) -> None:
    """Write a subscription that an event, a list or a fetch shows; a snapshot may show some of its items only.

    Raises:
        NeedsFetch: see `record`.
        StripeUnreadable: see `record`.
    """
    if ITEMS.is_cut(obj) and provenance.seen is None:
        raise NeedsFetch
    await record(connection, obj, provenance=provenance)


async def record(connection: AsyncConnection, obj: JsonObject, *, provenance: Provenance) -> StoredRow:
    """Write what Stripe says of a subscription and return the row. An ended subscription stays ended.

    Raises:
        NeedsFetch: an event's snapshot that may be older than the row.
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    shown, stripe_id, now = read(obj, Subscription), str(obj["id"]), provenance.now
    key = {"stripe_subscription_id": stripe_id}
    found: StoredRow | None = None
    if shown.mark is not None:
        found = next(iter(await _ADOPT.run(connection, {"o_id": shown.mark, "s_id": stripe_id})), None)
    if found is None:
        found = await lock(connection, subscriptions, key)
    ordered = None if found is None else await _ordered_product(connection, found)
    columns = shown.columns(ordered=ordered)
    if found is None or found.operation_id is None:
        columns["created_at"] = moment(shown.created) or (now if found is None else found.created_at)
    return await mirror(
        connection,
        subscriptions,
        key=key,
        columns=columns,
        provenance=provenance,
        insert_only=await _of_a_new_one(connection, shown, stripe_id, provenance) if found is None else None,
        update_only=None if found is None else _kept(found, ordered, columns) | _joined(found, shown, now=now),
        locked=found,
        ended=_ENDED,
    )


async def _ordered_product(connection: AsyncConnection, row: StoredRow) -> str | None:
    """Return the product that was ordered here; rows of earlier versions tell it by their operation."""
    if row.operation_id is None or row.ordered_product_id is not None:
        return _ordered_in_row(row)
    found = (await connection.execute(_ORDERED, {"id": row.operation_id})).first()
    ordered: str | None = None if found is None else found.facts.get("product_id")
    return ordered or _ordered_in_row(row)


def _ordered_in_row(row: StoredRow) -> str | None:
    """Return the product that was ordered here, as far as the row tells; None for a subscription made elsewhere."""
    product: str | None = row.ordered_product_id or (row.product_id if row.operation_id is not None else None)
    return product


def _columns_beside(obj: JsonObject, row: StoredRow) -> Columns:
    """Return what the row is to hold when it shows `obj`, with the ordered product where the item depends on it."""
    ordered, shown = _ordered_in_row(row), read(obj, Subscription)
    columns = shown.columns(ordered=ordered)
    return columns | {"ordered_product_id": ordered} if shown.has_several_items else columns


def _kept(row: StoredRow, ordered: str | None, columns: Columns) -> Columns:
    """Return what only we know of the row: it gives up its slot's entry when Stripe shows another product."""
    return {
        "ordered_product_id": ordered,
        "exclusive": row.exclusive and columns["product_id"] == row.product_id,
    }


def _joined(row: StoredRow, shown: Subscription, *, now: datetime) -> Columns:
    return seen_again(row, shown.products, status=shown.status, now=now)


async def _of_a_new_one(
    connection: AsyncConnection, shown: Subscription, stripe_id: str, provenance: Provenance
) -> Columns:
    """Return the columns that only we know, for a subscription that was not made here or is not in a restored dump.

    The operation that made the latter is named, so that a retry of it gets this one.
    """
    customer = id_of(shown.customer) or ""
    known = (await connection.execute(_OUR_CUSTOMER, {"id": customer})).first()
    imported, restored = provenance.cause == IMPORT, shown.mark is not None
    return {
        **first_seen(shown.products, now=provenance.now, imported=imported, restored=restored),
        "id": f"lps_{stripe_id.removeprefix('sub_')}",
        "operation_id": shown.mark,
        "customer_id": known.id if known else foreign_id(customer),
        "exclusive": False,
    }


def of_person(person: Person) -> ColumnElement[bool]:
    """Return the condition of the person's rows."""
    named = is_filled(subscriptions.c.stripe_customer_id, person.stripe_id)
    return or_(named, subscriptions.c.customer_id.in_(person.ids))


KIND: Final = Kind(
    name="subscription",
    collection="subscriptions",
    table=subscriptions,
    shape=Subscription,
    events=(
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.updated",
    ),
    ended=_ENDED,
    key="stripe_subscription_id",
    write_as=write,
    beside=_columns_beside,
    part=ITEMS,
    listing={"status": "all"},
    guards=True,
    of_person=of_person,
    personal={"metadata": {}},
)
