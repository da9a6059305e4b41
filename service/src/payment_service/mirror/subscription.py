"""Subscriptions (docs.stripe.com/api/subscriptions/object).

A row may be there before Stripe's object is: an operation of ours reserved it, and is found by its reference in the
metadata, so that an event that arrives before our own recording meets the same row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, or_, select

from payment_service.mirror.joining import first_seen, seen_again
from payment_service.mirror.kind import IMPORT, Columns, Kind, Part, Told, ends
from payment_service.mirror.person import foreign_id, is_filled
from payment_service.mirror.subscription_shape import Subscription
from payment_service.storage.expressions import Among
from payment_service.storage.mirror import NeedsFetch, State, lock, mirror, moment
from payment_service.storage.statements import ChangeRows
from payment_service.storage.succession import Course
from payment_service.storage.tables import customers, operations, subscriptions
from payment_service.stripe_api.objects import id_of, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.json_types import JsonObject
    from payment_service.mirror.batch import StateOf
    from payment_service.mirror.person import Person
    from payment_service.storage.mirror import Provenance
    from payment_service.storage.rows import Values, WholeRow


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
_ORDERED: Final = select(operations.c.id, operations.c.facts).where(Among(operations.c.id, "ids"))
_OUR_CUSTOMERS: Final = select(customers.c.id, customers.c.stripe_customer_id).where(
    Among(customers.c.stripe_customer_id, "ids")
)


async def plan(connection: AsyncConnection, told: Mapping[str, Sequence[Told]], rows: dict[str, WholeRow]) -> StateOf:
    """Return what gives a subscription's state; a snapshot may show some of its items only."""
    unseen = {stripe_id: several for stripe_id, several in told.items() if stripe_id not in rows}
    for stripe_id, several in unseen.items():
        for reference in {reference for one in several if (reference := _shown(one).operation_reference) is not None}:
            found = next(iter(await _ADOPT.run(connection, {"o_id": reference, "s_id": stripe_id})), None)
            if found is not None:
                rows[stripe_id] = found._asdict()
    new = [one for stripe_id, several in unseen.items() if stripe_id not in rows for one in several]
    beside = Beside(
        ordered=await _ordered_products(connection, rows.values(), new),
        customers=await _our_customers(connection, new),
    )

    def state(one: Told, row: Values | None) -> State:
        if ITEMS.is_cut(one.obj) and one.provenance.seen is None:
            raise NeedsFetch
        return _state(one, row, beside=beside)

    return state


async def record(connection: AsyncConnection, obj: JsonObject, *, provenance: Provenance) -> Row[*tuple[object, ...]]:
    """Write what Stripe answers about a subscription and return the row. An ended subscription stays ended.

    Raises:
        NeedsFetch: an answer that may be older than the row.
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    shown, stripe_id = read(obj, Subscription), str(obj["id"])
    one, key = Told(obj, shown, provenance), {"stripe_subscription_id": stripe_id}
    found: Row[*tuple[object, ...]] | None = None
    if shown.operation_reference is not None:
        found = next(iter(await _ADOPT.run(connection, {"o_id": shown.operation_reference, "s_id": stripe_id})), None)
    if found is None:
        found = await lock(connection, subscriptions, key)
    stored = None if found is None else found._asdict()
    beside = Beside(
        ordered=await _ordered_products(connection, [] if stored is None else [stored], []),
        customers=await _our_customers(connection, [one] if stored is None else []),
    )
    state = _state(one, stored, beside=beside)
    return await mirror(
        connection, subscriptions, key=key, state=state, provenance=provenance, locked=found, course=Course(_ENDED)
    )


class Beside(NamedTuple):
    """What other rows tell."""

    ordered: Mapping[str, str]
    """The product that was ordered, by operation, as far as the subscription's row does not tell."""
    customers: Mapping[str, str]
    """Our ids of customers, by Stripe's."""


def _state(one: Told, row: Values | None, *, beside: Beside) -> State:
    """Return what the row is to hold. Pure."""
    shown, now = _shown(one), one.provenance.now
    ordered = None if row is None else _ordered_product(row, beside.ordered)
    columns = shown.columns(ordered=ordered)
    if row is None or row["operation_id"] is None:
        columns["created_at"] = moment(shown.created) or (now if row is None else row["created_at"])
    if row is None:
        return State(columns, insert_only=_of_a_new_one(one, shown, customers=beside.customers))
    return State(columns, update_only=_kept(row, ordered, columns) | _joined(row, shown, now=now))


def _shown(told: Told) -> Subscription:
    assert isinstance(told.shape, Subscription)
    return told.shape


async def _ordered_products(connection: AsyncConnection, rows: Iterable[Values], new: Sequence[Told]) -> dict[str, str]:
    """Return what was ordered by operation, where rows of earlier versions do not tell, and of those without a row."""
    wanted = {row["operation_id"] for row in rows if row["ordered_product_id"] is None} - {None}
    wanted |= {reference for one in new if (reference := _shown(one).operation_reference) is not None}
    if not wanted:
        return {}
    found = await connection.execute(_ORDERED, {"ids": sorted(wanted)})
    return {row.id: product for row in found if (product := row.facts.get("product_id"))}


async def _our_customers(connection: AsyncConnection, new: Sequence[Told]) -> dict[str, str]:
    """Return our ids of the customers of subscriptions without a row, by Stripe's."""
    wanted = {id_of(_shown(one).customer) for one in new} - {None}
    if not wanted:
        return {}
    found = await connection.execute(_OUR_CUSTOMERS, {"ids": list(wanted)})
    return {row.stripe_customer_id: row.id for row in found}


def _ordered_product(row: Values, ordered: Mapping[str, str]) -> str | None:
    """Return the product that was ordered here; rows of earlier versions tell it by their operation."""
    if row["operation_id"] is None or row["ordered_product_id"] is not None:
        return _ordered_in_row(row)
    return ordered.get(row["operation_id"]) or _ordered_in_row(row)


def _ordered_in_row(row: Values) -> str | None:
    """Return the product that was ordered here, as far as the row tells; None for a subscription made elsewhere."""
    product: str | None = row["ordered_product_id"] or (row["product_id"] if row["operation_id"] is not None else None)
    return product


def _columns_beside(obj: JsonObject, row: Values) -> Columns:
    """Return what the row is to hold when it shows `obj`, with the ordered product where the item depends on it."""
    ordered, shown = _ordered_in_row(row), read(obj, Subscription)
    columns = shown.columns(ordered=ordered)
    return columns | {"ordered_product_id": ordered} if shown.has_several_items else columns


def _kept(row: Values, ordered: str | None, columns: Columns) -> Columns:
    """Return what only we know of the row: it gives up its slot's entry when Stripe shows another product."""
    return {
        "ordered_product_id": ordered,
        "exclusive": row["exclusive"] and columns["product_id"] == row["product_id"],
    }


def _joined(row: Values, shown: Subscription, *, now: datetime) -> Columns:
    return seen_again(row, shown.products, status=shown.status, now=now)


def _of_a_new_one(one: Told, shown: Subscription, *, customers: Mapping[str, str]) -> Columns:
    """Return the columns that only we know, for a subscription that was not made here or is not in a restored dump.

    The operation that made the latter is named, so that a retry of it gets this one.
    """
    customer = id_of(shown.customer) or ""
    imported, restored = one.provenance.cause == IMPORT, shown.operation_reference is not None
    return {
        **first_seen(shown.products, now=one.provenance.now, imported=imported, restored=restored),
        "id": f"lps_{one.id.removeprefix('sub_')}",
        "operation_id": shown.operation_reference,
        "customer_id": customers.get(customer) or foreign_id(customer),
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
    planned=plan,
    beside=_columns_beside,
    part=ITEMS,
    listing={"status": "all"},
    guards=True,
    of_person=of_person,
    personal={"metadata": {}},
)
