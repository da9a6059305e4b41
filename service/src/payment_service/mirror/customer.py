"""Customers (docs.stripe.com/api/customers/object).

A row may be there before Stripe's object is: a customer of ours whose creation is not recorded yet is found by the id
in its metadata.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import and_, bindparam, select, update

from payment_service.mail_addresses import mail_key
from payment_service.mirror.kind import DELETED, Columns, Kind, Shape
from payment_service.mirror.person import foreign_id
from payment_service.storage.mirror import State, lock, moment
from payment_service.storage.tables import customers
from payment_service.stripe_api.metadata import OURS, of_caller
from payment_service.stripe_api.objects import Id, Metadata, Name, Seconds, id_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.mirror.batch import StateOf
    from payment_service.mirror.kind import Told
    from payment_service.mirror.person import Person
    from payment_service.storage.rows import Values, WholeRow

OUR_ID: Final = f"{OURS}customer"
REFERENCE: Final = f"{OURS}reference"
"""In the metadata of customers that are made here."""
_LONGEST_REFERENCE: Final = 255
"""Of one that was given here; what somebody writes into the metadata at Stripe may fit no index."""
_REFERENCE_TAKEN: Final = select(customers.c.id).where(
    customers.c.livemode == bindparam("livemode"),
    ~customers.c.deleted,
    customers.c.reference == bindparam("reference"),
)
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


class InvoiceSettings(Struct):
    """What invoices are paid with."""

    default_payment_method: Id | None = None


class Customer(Shape, kw_only=True):
    """What is read of one."""

    email: Name | None = None
    name: str | None = None
    created: Seconds | None = None
    invoice_settings: InvoiceSettings | None = None
    metadata: Metadata | None = None
    deleted: bool | None = None

    @property
    def address_key(self) -> str | None:
        """The address in the one form by which it is compared."""
        return mail_key(self.email) if self.email and not self.deleted else None

    def columns(self) -> Columns:
        """Return what the row holds; of a deleted one nothing personal, as at Stripe."""
        if self.deleted:
            gone: Columns = dict.fromkeys(("email", "address_key", "name", "default_payment_method_id"))
            return {**gone, "metadata": {}, "livemode": self.livemode, "deleted": True}
        return {
            "email": self.email,
            "address_key": self.address_key,
            "name": self.name,
            "default_payment_method_id": id_of((self.invoice_settings or InvoiceSettings()).default_payment_method),
            "metadata": of_caller(self.metadata),
            "livemode": self.livemode,
            "deleted": False,
        }


async def set_stripe_id(connection: AsyncConnection, customer_id: str, *, stripe_id: str, now: datetime) -> None:
    """Record the customer that Stripe made for ours."""
    await connection.execute(_SET_STRIPE_ID, {"c_id": customer_id, "c_stripe_id": stripe_id, "c_now": now})


async def plan(connection: AsyncConnection, told: Mapping[str, Sequence[Told]], rows: dict[str, WholeRow]) -> StateOf:
    """Return what gives a customer's state; one made elsewhere gets a row with the origin `stripe`.

    One whose address changes gives up its claim to the former one.
    """
    remembered: dict[str, Columns] = {}
    for stripe_id, several in told.items():
        if stripe_id not in rows:
            await _find_ours(connection, stripe_id, several, rows)
        if stripe_id not in rows:
            remembered[stripe_id] = await _remembered(connection, _shown(several[0]))
    return partial(_state, remembered=remembered)


def _state(told: Told, row: Values | None, *, remembered: Mapping[str, Columns]) -> State:
    shown, now = _shown(told), told.provenance.now
    columns = shown.columns() | ({"reference": None} if shown.deleted else {})
    if row is not None:
        return State(columns, update_only=_of_address(row, shown.address_key, now=now))
    made = {"id": foreign_id(told.id), **remembered[told.id], "created_at": moment(shown.created) or now}
    return State(columns, insert_only=made)


def _shown(told: Told) -> Customer:
    assert isinstance(told.shape, Customer)
    return told.shape


async def _find_ours(
    connection: AsyncConnection, stripe_id: str, several: Sequence[Told], rows: dict[str, WholeRow]
) -> None:
    """Give the row of a customer of ours, whose creation is not recorded yet, to the one that Stripe made for it."""
    ours = {found: told for told in several if (found := (_shown(told).metadata or {}).get(OUR_ID)) is not None}
    for customer_id, told in ours.items():
        await set_stripe_id(connection, customer_id, stripe_id=stripe_id, now=told.provenance.now)
    row = await lock(connection, customers, {"stripe_customer_id": stripe_id}) if ours else None
    if row is not None:
        rows[stripe_id] = row._asdict()


def _of_address(row: Values, key: str | None, *, now: datetime) -> Columns:
    """Return what only we know of the address: one that goes takes its claim along, one that comes says since when."""
    former = row["address_key"]
    if former is None and row["email"] is not None:  # of an earlier version
        former = mail_key(row["email"])
    return {
        "email_key": row["email_key"] if row["email_key"] == key else None,
        "address_since": row["address_since"] if key in {former, None} else now,
    }


async def _remembered(connection: AsyncConnection, shown: Customer) -> Columns:
    """Return what only we know of a customer without a row: one that was made here is in a dump no more."""
    metadata = shown.metadata or {}
    reference = metadata.get(REFERENCE)
    if OUR_ID not in metadata or shown.deleted:
        return {"origin": "stripe"}
    if reference is None or len(reference) > _LONGEST_REFERENCE:
        return {"origin": "api"}
    wanted = {"livemode": shown.livemode, "reference": reference}
    if (await connection.execute(_REFERENCE_TAKEN, wanted)).first():
        return {"origin": "api"}
    return {"origin": "api", "reference": reference}


def of_person(person: Person) -> ColumnElement[bool]:
    """Return the condition of the person's row."""
    return and_(customers.c.id == person.id, customers.c.deleted)


KIND: Final = Kind(
    name="customer",
    collection="customers",
    table=customers,
    shape=Customer,
    events=(
        "customer.created",
        "customer.deleted",
        "customer.updated",
    ),
    deletion="customer.deleted",
    ended=DELETED,
    key="stripe_customer_id",
    planned=plan,
    guards=True,
    of_person=of_person,
    personal={
        "email": None,
        "address_key": None,
        "email_key": None,
        "name": None,
        "reference": None,
        "metadata": {},
    },
)
