"""What of the mirror is about a person: which rows, and which of their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Table, and_, false, or_, select, union_all, update

from payment_service.customers.store import foreign_id
from payment_service.storage import payment_tables as money
from payment_service.storage.changed_rows import note
from payment_service.storage.expressions import Among
from payment_service.storage.tables import customers, subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

PERSONAL: Final[Mapping[Table, Mapping[str, Any]]] = {
    customers: {
        "email": None,
        "address_key": None,
        "email_key": None,
        "name": None,
        "reference": None,
        "metadata": {},
    },
    subscriptions: {"metadata": {}},
    money.payment_intents: {"metadata": {}},
    money.setup_intents: {"metadata": {}},
    money.charges: {"metadata": {}},
    money.checkout_sessions: {"metadata": {}, "client_reference_id": None},
    money.invoice_payments: {"metadata": {}},
    money.refunds: {"metadata": {}},
    money.disputes: {"metadata": {}},
}
"""The personal fields of mirrored rows, and what they hold of a person who is erased."""

_OF_THESE: Final = (customers.c.deleted, Among(customers.c.stripe_customer_id, "people"))
_REOPEN: Final = update(customers).where(*_OF_THESE).values(erased_at=None)
_DELETED: Final = select(customers.c.stripe_customer_id).where(*_OF_THESE)
_OF_CHARGES: Final = select(money.charges.c.id, money.charges.c.stripe_customer_id).where(
    Among(money.charges.c.id, "charges")
)


class Person(NamedTuple):
    """A customer that Stripe has deleted."""

    id: str
    """Our id."""
    stripe_id: str | None
    ids: frozenset[str]
    """Under which rows name it: a subscription's event may have come before the customer's row."""

    @classmethod
    def of(cls, row: Row[Any]) -> Person:
        """Read it from its row."""
        stripe_id: str | None = row.stripe_customer_id
        return cls(row.id, stripe_id, frozenset({row.id, foreign_id(stripe_id)} if stripe_id else {row.id}))


def is_filled(column: ColumnElement[Any], value: str | None) -> ColumnElement[bool]:
    """Return the condition that the column has the value, which None never is."""
    return false() if value is None else column == value


def rows_of(table: Table, person: Person) -> ColumnElement[bool]:
    """Return the condition of the rows of a mirrored table that are about a person."""
    if table is customers:
        return and_(customers.c.id == person.id, customers.c.deleted)
    if table is subscriptions:
        named = is_filled(table.c.stripe_customer_id, person.stripe_id)
        return or_(named, table.c.customer_id.in_(person.ids))
    if table is money.invoice_payments:
        return table.c.invoice_id.in_(select(money.invoices.c.id).where(rows_of(money.invoices, person)))
    if "stripe_customer_id" in table.c:
        return is_filled(table.c.stripe_customer_id, person.stripe_id)
    return table.c.charge_id.in_(select(money.charges.c.id).where(rows_of(money.charges, person)))


async def clear_mirror(connection: AsyncConnection, person: Person) -> int:
    """Empty the personal fields of every mirrored row; Stripe may keep what stood there, nobody needs it here."""
    for table, emptied in PERSONAL.items():
        filled = or_(*(table.c[name].is_distinct_from(value) for name, value in emptied.items()))
        statement = update(table).where(rows_of(table, person), filled).values(emptied).returning(table.c.id)
        for changed in (await connection.execute(statement)).scalars():
            note(connection, table.name, changed)
    return 0


async def objects_of(connection: AsyncConnection, person: Person) -> list[str]:
    """Return Stripe's ids of the customer and of all objects here that are about it, payment methods included."""
    subscription = subscriptions.c.stripe_subscription_id
    chosen = [select(subscription).where(rows_of(subscriptions, person), subscription.is_not(None))]
    others = [table for table in (*PERSONAL, money.invoices) if table not in {customers, subscriptions}]
    chosen += [select(table.c.id).where(rows_of(table, person)) for table in others]
    for table in (money.payment_intents, money.setup_intents):
        method = table.c.payment_method_id
        chosen.append(select(method).where(rows_of(table, person), method.is_not(None)))
    found = set((await connection.execute(union_all(*chosen))).scalars())
    return sorted(found | {person.stripe_id} if person.stripe_id else found)


async def reopen(connection: AsyncConnection, objects: Iterable[Mapping[str, Any]]) -> None:
    """Let deleted customers be erased again that one of these objects, just written or kept, is about.

    It takes the lock of their rows also where they are due anyway: see `customers/erasure.py`.
    """
    people = {customer for customer in await _customers_of(connection, list(objects)) if customer is not None}
    if people:
        await connection.execute(_REOPEN, {"people": sorted(people)})


async def of_deleted(connection: AsyncConnection, objects: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the ids of those objects that are about a deleted customer: their personal fields are not mirrored."""
    people = await _customers_of(connection, objects)
    known = sorted(filter(None, people))
    deleted = set((await connection.execute(_DELETED, {"people": known})).scalars())
    return {obj["id"] for obj, customer in zip(objects, people, strict=True) if customer in deleted}


async def _customers_of(connection: AsyncConnection, objects: Sequence[Mapping[str, Any]]) -> Sequence[str | None]:
    """Return whom each of Stripe's objects is about: refunds and disputes name their charge alone."""
    charges = {_id(obj.get("charge")) for obj in objects if not _named(obj)} - {None}
    of_charge: dict[str | None, str | None] = {}
    if charges:
        rows = await connection.execute(_OF_CHARGES, {"charges": list(map(str, charges))})
        of_charge = {row.id: row.stripe_customer_id for row in rows}
    return [_named(obj) or of_charge.get(_id(obj.get("charge"))) for obj in objects]


def _named(obj: Mapping[str, Any]) -> str | None:
    return obj.get("id") if obj.get("object") == "customer" else _id(obj.get("customer"))


def _id(value: Any) -> str | None:
    """Return the id of a field as `mirroring.object_id` does; None where it is none, for not every kind is checked."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
