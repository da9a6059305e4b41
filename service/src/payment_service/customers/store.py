"""SQL of customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from payment_service.customers.schemas import CustomerView, customer_columns
from payment_service.platform.ids import new_id
from payment_service.platform.mirroring import Ended, Seen, mirror, write_outbox
from payment_service.tables import customers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

_USABLE: Final = and_(customers.c.livemode == bindparam("livemode"), ~customers.c.deleted)
_BY_ID: Final = select(customers).where(
    _USABLE, or_(customers.c.id == bindparam("id"), customers.c.stripe_customer_id == bindparam("id"))
)
_BY_REFERENCE: Final = select(customers).where(_USABLE, customers.c.reference == bindparam("reference"))
_BY_EMAIL: Final = (
    select(customers)
    .where(
        _USABLE,
        customers.c.origin == "api",
        or_(customers.c.email_key == bindparam("email_key"), customers.c.email == bindparam("email")),
    )
    .order_by(customers.c.email_key.is_(None), customers.c.id)
    .limit(1)
)
_INSERT: Final = {
    "postgresql": postgresql.insert(customers).on_conflict_do_nothing().returning(customers),
    "sqlite": sqlite.insert(customers).on_conflict_do_nothing().returning(customers),
}
_DELETED: Final = Ended("deleted", frozenset({True}))
_SET_STRIPE_ID: Final = (
    update(customers)
    .where(customers.c.id == bindparam("c_id"), customers.c.stripe_customer_id.is_(None))
    .values(stripe_customer_id=bindparam("c_stripe_id"), updated_at=bindparam("c_now"))
)


async def find(
    connection: AsyncConnection,
    *,
    livemode: bool,
    customer_id: str | None = None,
    reference: str | None = None,
    email: str | None = None,
) -> Row[Any] | None:
    """Return the customer with this id (ours or Stripe's), reference, or address."""
    if customer_id is not None:
        return (await connection.execute(_BY_ID, {"livemode": livemode, "id": customer_id})).first()
    if reference is not None:
        return (await connection.execute(_BY_REFERENCE, {"livemode": livemode, "reference": reference})).first()
    assert email is not None
    parameters = {"livemode": livemode, "email": email, "email_key": email.lower()}
    return (await connection.execute(_BY_EMAIL, parameters)).first()


async def insert_customer(
    connection: AsyncConnection,
    *,
    livemode: bool,
    email: str | None,
    name: str | None,
    reference: str | None,
    metadata: Mapping[str, str],
    unique_email: bool,
    cause: str,
    now: datetime,
    stripe_customer_id: str | None = None,
    origin: str = "api",
) -> Row[Any] | None:
    """Insert a customer and return its row; None when another one holds the reference or address."""
    values = {
        "id": new_id("lpc"),
        "stripe_customer_id": stripe_customer_id,
        "reference": reference,
        "email": email,
        "email_key": email.lower() if email and unique_email else None,
        "name": name,
        "metadata": dict(metadata),
        "origin": origin,
        "livemode": livemode,
        "deleted": False,
        "stripe_updated": 0,
        "created_at": now,
        "updated_at": now,
    }
    row: Row[Any] | None = (await connection.execute(_INSERT[connection.dialect.name], values)).first()
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


async def apply_stripe_customer(
    connection: AsyncConnection, obj: dict[str, Any], *, as_of: int, seen: Seen | None, cause: str, now: datetime
) -> None:
    """Write what Stripe says of a customer; one made elsewhere gets a row with the origin `stripe`.

    A customer of ours whose creation is not recorded yet is found by the id in its metadata.
    """
    ours = (obj.get("metadata") or {}).get("lean_payments_customer")
    if ours is not None:
        await set_stripe_id(connection, ours, stripe_id=obj["id"], now=now)
    columns = customer_columns(obj)
    if columns["deleted"]:
        columns |= {"reference": None, "email_key": None}
    await mirror(
        connection,
        customers,
        key={"stripe_customer_id": obj["id"]},
        columns=columns,
        as_of=as_of,
        seen=seen,
        cause=cause,
        now=now,
        insert_only={"id": foreign_id(obj["id"]), "origin": "stripe"},
        ended=_DELETED,
    )


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
