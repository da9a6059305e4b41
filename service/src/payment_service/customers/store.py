"""SQL of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import and_, bindparam, delete, or_, select, update

from payment_service.customers.schemas import CustomerView
from payment_service.http.paging import Order, read_page
from payment_service.mail_addresses import mail_key
from payment_service.storage.changed_rows import note
from payment_service.storage.ids import new_id, same_id
from payment_service.storage.mirror import write_outbox
from payment_service.storage.statements import InsertNew
from payment_service.storage.tables import customers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.http.paging import Page
    from payment_service.storage.rows import CustomerRow

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
_ID_TAKEN: Final = select(customers.c.id).where(customers.c.id == bindparam("id"))
_TOLD: Final = ("id", "reference", "email", "name", "metadata", "livemode", "deleted", "created_at")
_ORDER: Final = Order(
    noun="customer",
    key=(customers.c.created_at, customers.c.id),
    ids=(customers.c.id, customers.c.stripe_customer_id),
    created=customers.c.created_at,
)


async def find(
    connection: AsyncConnection, *, livemode: bool, customer_id: str | None = None, reference: str | None = None
) -> CustomerRow | None:
    """Return the customer with this id (ours or Stripe's) or reference."""
    if customer_id is not None:
        return (await connection.execute(_BY_ID, {"livemode": livemode, "id": customer_id})).first()
    return (await connection.execute(_BY_REFERENCE, {"livemode": livemode, "reference": reference})).first()


async def find_by_address(connection: AsyncConnection, *, livemode: bool, email: str) -> Sequence[CustomerRow]:
    """Return the customers with this address, wherever they were made, oldest first; at most `MAXIMUM_NAMED`."""
    parameters = {"livemode": livemode, "email": email, "key": mail_key(email)}
    return (await connection.execute(_BY_ADDRESS, parameters)).all()


async def give_up_claim(connection: AsyncConnection, *, livemode: bool, email: str) -> None:
    """Let an address be claimed that its customer has no more."""
    await connection.execute(_GIVE_UP_CLAIM, {"c_livemode": livemode, "c_key": mail_key(email)})


async def list_page(
    connection: AsyncConnection, *, livemode: bool, page: Page, reference: str | None
) -> tuple[Sequence[CustomerRow], bool]:
    """Return a page of customers, newest first, and whether there are more.

    Raises:
        UnknownCursor: the page is to begin at no customer.
    """
    statement = select(customers).where(~customers.c.deleted)
    if reference is not None:
        statement = statement.where(customers.c.reference == reference)
    among = (customers.c.livemode == livemode,)
    rows, more = await read_page(connection, statement, order=_ORDER, page=page, among=among)
    return rows, more


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
    connection: AsyncConnection, wanted: NewCustomer, *, operation_reference: str, cause: str, now: datetime
) -> CustomerRow | None:
    """Insert a customer and return its row; None when another one holds the reference or, so made, the address.

    Its id is made of the operation's reference: a retry that meets an older dump makes the same customer, also at
    Stripe.
    """
    key = mail_key(wanted.email) if wanted.email else None
    values = {
        "id": same_id("lpc", operation_reference),
        "stripe_customer_id": None,
        "reference": wanted.reference,
        "email": wanted.email,
        "address_key": key,
        "email_key": key if wanted.unique_email else None,
        "name": wanted.name,
        "default_payment_method_id": None,
        "payment_methods_at": now,
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
    note(connection, customers.name, row.id)
    after = {name: values[name] for name in ("reference", "email", "name", "livemode")}
    await write_outbox(
        connection, object_type="customers", object_id=row.id, before=None, after=after, cause=cause, now=now
    )
    return row


def to_view(row: CustomerRow) -> CustomerView:
    """Build the public view of a row."""
    return CustomerView(
        id=row.id,
        stripe_customer_id=row.stripe_customer_id,
        reference=row.reference,
        email=row.email,
        name=row.name,
        default_payment_method_id=row.default_payment_method_id,
        metadata=row._mapping["metadata"],  # noqa: SLF001 - `row.metadata` is an attribute of Row itself
        livemode=row.livemode,
        created_at=row.created_at,
    )


async def remove(connection: AsyncConnection, customer_id: str, *, cause: str, now: datetime) -> None:
    """Remove a customer that Stripe refused to make."""
    refused = and_(customers.c.id == customer_id, customers.c.stripe_customer_id.is_(None))
    row = (await connection.execute(select(customers).where(refused).with_for_update())).first()
    if row is None:
        return
    before = {name: row._mapping[name] for name in _TOLD}  # noqa: SLF001 - see to_view
    await write_outbox(  # first, for the database looks up whose personal fields these are
        connection, object_type="customers", object_id=row.id, before=before, after=None, cause=cause, now=now
    )
    await connection.execute(delete(customers).where(refused))
