"""SQL of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import and_, bindparam, delete, or_, select, update

from payment_service.customers.schemas import CustomerView, customer_columns
from payment_service.http.paging import Order, read_page
from payment_service.mail_addresses import mail_key
from payment_service.storage.ids import new_id, same_id
from payment_service.storage.mirror import Ended, Provenance, created, lock, mirror, write_outbox
from payment_service.storage.statements import InsertNew
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.http.paging import Page

MAXIMUM_NAMED: Final = 20
"""Customers with one address that a refusal names."""
_USABLE: Final = and_(customers.c.livemode == bindparam("livemode"), ~customers.c.deleted)
_BY_ID: Final = select(customers).where(
    _USABLE, or_(customers.c.id == bindparam("id"), customers.c.stripe_customer_id == bindparam("id"))
)
_BY_REFERENCE: Final = select(customers).where(_USABLE, customers.c.reference == bindparam("reference"))
_NO_KEY_YET: Final = and_(  # a row of an earlier version
    customers.c.address_key.is_(None),
    or_(customers.c.email_key == bindparam("key"), customers.c.email == bindparam("email")),
)
_BY_ADDRESS: Final = (
    select(customers)
    .where(_USABLE, or_(customers.c.address_key == bindparam("key"), _NO_KEY_YET))
    .order_by(customers.c.created_at, customers.c.id)
    .limit(MAXIMUM_NAMED)
)
_GIVE_UP_CLAIM: Final = (
    update(customers)
    .where(
        customers.c.livemode == bindparam("c_livemode"),
        customers.c.email_key == bindparam("c_key"),
        customers.c.address_key != customers.c.email_key,
    )
    .values(email_key=None)
)
"""An earlier version does not do this when an address changes at Stripe."""
_INSERT: Final = InsertNew(customers, returning=tuple(customers.c))
_LONGEST_REFERENCE: Final = 255
"""Of one that was given here; what somebody writes into the metadata at Stripe may fit no index."""
_ID_TAKEN: Final = select(customers.c.id).where(customers.c.id == bindparam("id"))
_ORDER: Final = Order(
    noun="customer",
    key=(customers.c.created_at, customers.c.id),
    ids=(customers.c.id, customers.c.stripe_customer_id),
    created=customers.c.created_at,
)
_DELETED: Final = Ended("deleted", frozenset({True}))
_OTHER: Final = customers.alias()
_SET_STRIPE_ID: Final = (
    update(customers)
    .where(
        customers.c.id == bindparam("c_id"),
        customers.c.stripe_customer_id.is_(None),
        ~select(_OTHER.c.id).where(_OTHER.c.stripe_customer_id == bindparam("c_stripe_id")).exists(),
    )
    .values(stripe_customer_id=bindparam("c_stripe_id"), updated_at=bindparam("c_now"))
)
"""A customer of Stripe's that has a row already keeps that, whatever a person writes into its metadata at Stripe."""


async def find(
    connection: AsyncConnection, *, livemode: bool, customer_id: str | None = None, reference: str | None = None
) -> Row[Any] | None:
    """Return the customer with this id (ours or Stripe's) or reference."""
    if customer_id is not None:
        return (await connection.execute(_BY_ID, {"livemode": livemode, "id": customer_id})).first()
    return (await connection.execute(_BY_REFERENCE, {"livemode": livemode, "reference": reference})).first()


async def find_by_address(connection: AsyncConnection, *, livemode: bool, email: str) -> Sequence[Row[Any]]:
    """Return the customers with this address, wherever they were made, oldest first; at most `MAXIMUM_NAMED`."""
    parameters = {"livemode": livemode, "email": email, "key": mail_key(email)}
    return (await connection.execute(_BY_ADDRESS, parameters)).all()


async def give_up_claim(connection: AsyncConnection, *, livemode: bool, email: str) -> None:
    """Let an address be claimed that its customer has no more."""
    await connection.execute(_GIVE_UP_CLAIM, {"c_livemode": livemode, "c_key": mail_key(email)})


async def list_page(
    connection: AsyncConnection, *, livemode: bool, page: Page, reference: str | None
) -> tuple[list[Row[Any]], bool]:
    """Return a page of customers, newest first, and whether there are more.

    Raises:
        UnknownCursor: the page is to begin at no customer.
    """
    statement = select(customers).where(~customers.c.deleted)
    if reference is not None:
        statement = statement.where(customers.c.reference == reference)
    among = (customers.c.livemode == livemode,)
    return await read_page(connection, statement, order=_ORDER, page=page, among=among)


class NewCustomer(NamedTuple):
    """A customer that is to be made."""

    livemode: bool
    email: str | None
    name: str | None
    reference: str | None
    metadata: Mapping[str, str]
    unique_email: bool = False
    """Whether its address is claimed for it: no other one made so can have it."""


async def insert_customer(
    connection: AsyncConnection, wanted: NewCustomer, *, mark: str, cause: str, now: datetime
) -> Row[Any] | None:
    """Insert a customer and return its row; None when another one holds the reference or, so made, the address.

    Its id is made of the operation's `mark`: a retry that meets an older dump makes the same customer, for Stripe too.
    """
    key = mail_key(wanted.email) if wanted.email else None
    values = {
        "id": same_id("lpc", mark),
        "stripe_customer_id": None,
        "reference": wanted.reference,
        "email": wanted.email,
        "address_key": key,
        "email_key": key if wanted.unique_email else None,
        "name": wanted.name,
        "metadata": dict(wanted.metadata),
        "origin": "api",
        "livemode": wanted.livemode,
        "deleted": False,
        "stripe_updated": 0,
        "created_at": now,
        "updated_at": now,
    }
    row = await _INSERT.run(connection, values)
    if row is None and (await connection.execute(_ID_TAKEN, {"id": values["id"]})).first():  # its key was used before
        row = await _INSERT.run(connection, values | {"id": new_id("lpc")})
    if row is None:
        return None
    after = {name: values[name] for name in ("reference", "email", "name", "livemode")}
    await write_outbox(
        connection, object_type="customers", object_id=row.id, before=None, after=after, cause=cause, now=now
    )
    return row


async def set_stripe_id(connection: AsyncConnection, customer_id: str, *, stripe_id: str, now: datetime) -> None:
    """Record the customer that Stripe made for ours."""
    await connection.execute(_SET_STRIPE_ID, {"c_id": customer_id, "c_stripe_id": stripe_id, "c_now": now})


async def apply_stripe_customer(connection: AsyncConnection, obj: dict[str, Any], *, provenance: Provenance) -> None:
    """Write what Stripe says of a customer; one made elsewhere gets a row with the origin `stripe`.

    A customer of ours whose creation is not recorded yet is found by the id in its metadata. One whose address changes
    gives up its claim to the former one.

    Raises:
        NeedsFetch: an event's snapshot that may be older than the row.
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    columns, key = customer_columns(obj), {"stripe_customer_id": obj["id"]}
    ours = (obj.get("metadata") or {}).get("lean_payments_customer")
    if ours is not None:
        await set_stripe_id(connection, ours, stripe_id=obj["id"], now=provenance.now)
    if columns["deleted"]:
        columns |= {"reference": None}
    found = await lock(connection, customers, key)
    await mirror(
        connection,
        customers,
        key=key,
        columns=columns,
        provenance=provenance,
        update_only=None if found is None else _of_address(found, columns, now=provenance.now),
        locked=found,
        insert_only={
            "id": foreign_id(obj["id"]),
            **await _remembered(connection, obj),
            "created_at": created(obj, otherwise=provenance.now),
        },
        ended=_DELETED,
    )


def _of_address(row: Row[Any], columns: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return what only we know of the address: one that goes takes its claim along, one that comes says since when."""
    key, former = columns["address_key"], row.address_key
    if former is None and row.email is not None:  # of an earlier version
        former = mail_key(row.email)
    return {
        "email_key": row.email_key if row.email_key == key else None,
        "address_since": row.address_since if key in {former, None} else now,
    }


async def _remembered(connection: AsyncConnection, obj: dict[str, Any]) -> dict[str, Any]:
    """Return what only we know of a customer without a row: one that was made here is in a dump no more."""
    metadata = obj.get("metadata") or {}
    reference = metadata.get("lean_payments_reference")
    if "lean_payments_customer" not in metadata or obj.get("deleted"):
        return {"origin": "stripe"}
    if reference is None or len(reference) > _LONGEST_REFERENCE:
        return {"origin": "api"}
    if await find(connection, livemode=obj["livemode"], reference=reference):
        return {"origin": "api"}
    return {"origin": "api", "reference": reference}


def foreign_id(stripe_customer_id: str) -> str:
    """Return our id of a customer that was not made here; it is the same before its row exists."""
    return f"lpc_{stripe_customer_id.removeprefix('cus_')}"


def to_view(row: Row[Any]) -> CustomerView:
    """Build the public view of a row."""
    return CustomerView(
        id=row.id,
        stripe_customer_id=row.stripe_customer_id,
        reference=row.reference,
        email=row.email,
        name=row.name,
        metadata=row._mapping["metadata"],  # noqa: SLF001 - `row.metadata` is an attribute of Row itself
        livemode=row.livemode,
        created_at=row.created_at,
    )


async def remove(connection: AsyncConnection, customer_id: str) -> None:
    """Remove a customer that Stripe refused to make."""
    await connection.execute(
        delete(customers).where(customers.c.id == customer_id, customers.c.stripe_customer_id.is_(None))
    )
