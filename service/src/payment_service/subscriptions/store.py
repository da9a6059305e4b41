"""SQL of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Boolean, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from payment_service.customers.store import foreign_id
from payment_service.platform.mirroring import Ended, Seen, lock, mirror
from payment_service.subscriptions.schemas import (
    CreatedSubscription,
    SubscriptionView,
    client_secret,
    subscription_columns,
)
from payment_service.tables import LIVE_STATUSES, customers, subscriptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

TERMINAL: Final = ("canceled", "incomplete_expired")
"""Statuses that never change again (docs.stripe.com/billing/subscriptions/overview#subscription-statuses)."""
ENDED: Final = Ended("status", frozenset(TERMINAL))
_SAME_PLACE: Final = (
    subscriptions.c.livemode == bindparam("livemode"),
    subscriptions.c.customer_id == bindparam("customer_id"),
    subscriptions.c.product_id == bindparam("product_id"),
)
_LIVE: Final = select(subscriptions).where(*_SAME_PLACE, subscriptions.c.status.in_(LIVE_STATUSES)).limit(1)
_RESERVED: Final = (
    "id",
    "operation_id",
    "livemode",
    "customer_id",
    "product_id",
    "price_id",
    "quantity",
    "status",
    "exclusive",
    "metadata",
    "created_at",
    "updated_at",
)
_IF_ALONE: Final = select(*(bindparam(name, type_=subscriptions.c[name].type) for name in _RESERVED)).where(
    or_(
        ~bindparam("exclusive", type_=Boolean),
        ~select(subscriptions.c.id).where(*_SAME_PLACE, subscriptions.c.status.in_(LIVE_STATUSES)).exists(),
    )
)
_RESERVE: Final = {
    name: dialect.insert(subscriptions)
    .from_select(_RESERVED, _IF_ALONE)
    .on_conflict_do_nothing()
    .returning(subscriptions.c.id)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}
_HOLDER: Final = select(subscriptions).where(
    *_SAME_PLACE, subscriptions.c.exclusive, subscriptions.c.status.not_in(TERMINAL)
)
_BY_ID: Final = select(subscriptions).where(
    subscriptions.c.livemode == bindparam("livemode"), subscriptions.c.id == bindparam("id")
)
_ADOPT: Final = (
    update(subscriptions)
    .where(subscriptions.c.operation_id == bindparam("o_id"), subscriptions.c.stripe_subscription_id.is_(None))
    .values(stripe_subscription_id=bindparam("s_id"))
    .returning(subscriptions)
)
"""Gives the row that an operation reserved to the subscription that Stripe made for it."""


async def find_live(
    connection: AsyncConnection, *, livemode: bool, customer_id: str, product_id: str
) -> Row[Any] | None:
    """Return a live subscription of this customer to this product, wherever it was made."""
    parameters = {"livemode": livemode, "customer_id": customer_id, "product_id": product_id}
    return (await connection.execute(_LIVE, parameters)).first()


async def find_holder(
    connection: AsyncConnection, *, livemode: bool, customer_id: str, product_id: str
) -> Row[Any] | None:
    """Return the row that holds the one place of this customer and product."""
    parameters = {"livemode": livemode, "customer_id": customer_id, "product_id": product_id}
    return (await connection.execute(_HOLDER, parameters)).first()


async def reserve(
    connection: AsyncConnection,
    *,
    subscription_id: str,
    operation_id: str,
    livemode: bool,
    customer_id: str,
    product_id: str,
    price_id: str,
    quantity: int,
    metadata: Mapping[str, str],
    exclusive: bool,
    now: datetime,
) -> bool:
    """Insert the row of a subscription about to be made; False when another one holds the place or is live.

    The partial unique index decides, so two requests at the same moment cannot both go on to Stripe.
    """
    values = {
        "id": subscription_id,
        "operation_id": operation_id,
        "customer_id": customer_id,
        "product_id": product_id,
        "price_id": price_id,
        "quantity": quantity,
        "status": "creating",
        "exclusive": exclusive,
        "metadata": dict(metadata),
        "livemode": livemode,
        "created_at": now,
        "updated_at": now,
    }
    return (await connection.execute(_RESERVE[connection.dialect.name], values)).first() is not None


async def release(connection: AsyncConnection, subscription_id: str) -> None:
    """Remove a reserved row for which nothing was made at Stripe."""
    await connection.execute(
        delete(subscriptions).where(subscriptions.c.id == subscription_id, subscriptions.c.status == "creating")
    )


async def record(
    connection: AsyncConnection, obj: dict[str, Any], *, as_of: int, seen: Seen | None, cause: str, now: datetime
) -> Row[Any]:
    """Write what Stripe says of a subscription and return the row.

    A row reserved by an operation of ours is found by the operation's id in the metadata, so that an event that
    arrives before our own recording meets the same row. An ended subscription stays ended.

    Raises:
        NeedsFetch: an event's snapshot that may be older than the row.
    """
    operation_id = (obj.get("metadata") or {}).get("lean_payments_operation")
    key = {"stripe_subscription_id": obj["id"]}
    found = None
    if operation_id is not None:
        found = (await connection.execute(_ADOPT, {"o_id": operation_id, "s_id": obj["id"]})).first()
    if found is None:
        found = await lock(connection, subscriptions, key)
    foreign = await _columns_of_a_foreign_one(connection, obj) if found is None else None
    return await mirror(
        connection,
        subscriptions,
        key=key,
        columns=subscription_columns(obj),
        as_of=as_of,
        seen=seen,
        cause=cause,
        now=now,
        insert_only=foreign,
        locked=found,
        ended=ENDED,
    )


async def _columns_of_a_foreign_one(connection: AsyncConnection, obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that only we know, for a subscription that was not made here."""
    customer = obj["customer"] if isinstance(obj["customer"], str) else str(obj["customer"]["id"])
    known = (await connection.execute(select(customers.c.id).where(customers.c.stripe_customer_id == customer))).first()
    return {
        "id": f"lps_{obj['id'].removeprefix('sub_')}",
        "customer_id": known.id if known else foreign_id(customer),
        "exclusive": False,
    }


async def get(connection: AsyncConnection, subscription_id: str, *, livemode: bool) -> Row[Any] | None:
    """Return a subscription by our id."""
    return (await connection.execute(_BY_ID, {"id": subscription_id, "livemode": livemode})).first()


async def list_page(
    connection: AsyncConnection,
    *,
    livemode: bool,
    customer_id: str | None,
    status: str | None,
    limit: int,
    starting_after: str | None,
) -> list[Row[Any]]:
    """Return up to `limit` subscriptions, newest first, that come after `starting_after`."""
    statement = select(subscriptions).where(
        subscriptions.c.livemode == livemode, subscriptions.c.stripe_subscription_id.is_not(None)
    )
    if customer_id is not None:
        statement = statement.where(subscriptions.c.customer_id == customer_id)
    if status is not None:
        statement = statement.where(subscriptions.c.status == status)
    if starting_after is not None:
        statement = statement.where(subscriptions.c.id < starting_after)
    rows = await connection.execute(statement.order_by(subscriptions.c.id.desc()).limit(limit))
    return list(rows.all())


def to_view(row: Row[Any]) -> SubscriptionView:
    """Build the public view of a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    return SubscriptionView(**{name: values[name] for name in SubscriptionView.__struct_fields__})


def to_created(row: Row[Any], obj: dict[str, Any], *, customer_id: str) -> CreatedSubscription:
    """Build the answer to create-subscription of a row and Stripe's object, which holds the client secret."""
    secret, kind = client_secret(obj)
    return CreatedSubscription(
        id=row.id,
        stripe_subscription_id=row.stripe_subscription_id,
        customer_id=customer_id,
        status=row.status,
        current_period_start=row.current_period_start,
        current_period_end=row.current_period_end,
        client_secret=secret,
        client_secret_kind=kind,
        latest_invoice_id=row.latest_invoice_id,
        livemode=row.livemode,
        created_at=row.created_at,
    )
