"""SQL of subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, or_, select, update

from payment_service.customers.history import IMPORT
from payment_service.customers.store import foreign_id
from payment_service.http.paging import Order, read_page
from payment_service.storage.mirror import Ended, Provenance, created, lock, mirror
from payment_service.storage.tables import customers, operations, subscriptions
from payment_service.stripe_api.objects import check
from payment_service.subscriptions import shapes
from payment_service.subscriptions.joining import first_seen, seen_again
from payment_service.subscriptions.schemas import (
    TERMINAL,
    CreatedSubscription,
    PauseCollection,
    SubscriptionView,
    client_secret,
    subscription_columns,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.http.paging import Page

ENDED: Final = Ended("status", frozenset(TERMINAL))
_BY_ID: Final = select(subscriptions).where(
    subscriptions.c.livemode == bindparam("livemode"),
    or_(subscriptions.c.id == bindparam("id"), subscriptions.c.stripe_subscription_id == bindparam("id")),
)
_ORDER: Final = Order(
    noun="subscription",
    key=(subscriptions.c.created_at, subscriptions.c.id),
    ids=(subscriptions.c.id, subscriptions.c.stripe_subscription_id),
    created=subscriptions.c.created_at,
)
_OTHER: Final = subscriptions.alias()
_ADOPT: Final = (
    update(subscriptions)
    .where(
        subscriptions.c.operation_id == bindparam("o_id"),
        subscriptions.c.stripe_subscription_id.is_(None),
        ~select(_OTHER.c.id).where(_OTHER.c.stripe_subscription_id == bindparam("s_id")).exists(),
    )
    .values(stripe_subscription_id=bindparam("s_id"))
    .returning(subscriptions)
)
"""Gives the row that an operation reserved to the subscription that Stripe made for it; one that has a row already
keeps that, whatever a person writes into its metadata at Stripe."""
_ORDERED: Final = select(operations.c.facts).where(operations.c.id == bindparam("id"))


async def record(connection: AsyncConnection, obj: dict[str, Any], *, provenance: Provenance) -> Row[Any]:
    """Write what Stripe says of a subscription and return the row.

    A row reserved by an operation of ours is found by the operation's mark in the metadata, so that an event that
    arrives before our own recording meets the same row. An ended subscription stays ended.

    Raises:
        NeedsFetch: an event's snapshot that may be older than the row.
        StripeUnreadable: a member is not as Stripe's reference says.
    """
    check(obj, shapes.Subscription)
    now = provenance.now
    mark = (obj.get("metadata") or {}).get("lean_payments_operation")
    key = {"stripe_subscription_id": obj["id"]}
    found = None
    if mark is not None:
        found = (await connection.execute(_ADOPT, {"o_id": mark, "s_id": obj["id"]})).first()
    if found is None:
        found = await lock(connection, subscriptions, key)
    ordered = None if found is None else await _ordered_product(connection, found)
    columns = subscription_columns(obj, ordered=ordered)
    foreign = None
    if found is None:
        seen_first = first_seen(columns, now=now, imported=provenance.cause == IMPORT, restored=mark is not None)
        foreign = seen_first | await _columns_of_a_foreign_one(connection, obj)
    if found is None or found.operation_id is None:
        columns |= {"created_at": created(obj, otherwise=now if found is None else found.created_at)}
    return await mirror(
        connection,
        subscriptions,
        key=key,
        columns=columns,
        provenance=provenance,
        insert_only=foreign,
        update_only=None if found is None else _kept(found, ordered, columns) | seen_again(found, columns, now=now),
        locked=found,
        ended=ENDED,
    )


async def _ordered_product(connection: AsyncConnection, row: Row[Any]) -> str | None:
    """Return the product that was ordered here; rows of earlier versions tell it by their operation."""
    if row.operation_id is None or row.ordered_product_id is not None:
        return _told_by_row(row)
    found = (await connection.execute(_ORDERED, {"id": row.operation_id})).first()
    ordered: str | None = None if found is None else found.facts.get("product_id")
    return ordered or _told_by_row(row)


def _told_by_row(row: Row[Any]) -> str | None:
    """Return the product that was ordered here, as far as the row tells; None for a subscription made elsewhere."""
    product: str | None = row.ordered_product_id or (row.product_id if row.operation_id is not None else None)
    return product


def columns_beside(obj: dict[str, Any], row: Row[Any]) -> dict[str, Any]:
    """Return what the row is to hold when it shows `obj`, with the ordered product where the item depends on it."""
    ordered = _told_by_row(row)
    columns = subscription_columns(obj, ordered=ordered)
    return columns if len(columns["items"]) < 2 else columns | {"ordered_product_id": ordered}  # noqa: PLR2004 - several


def _kept(row: Row[Any], ordered: str | None, columns: dict[str, Any]) -> dict[str, Any]:
    """Return what only we know of the row: it gives up its slot's entry when Stripe shows another product."""
    return {
        "ordered_product_id": ordered,
        "exclusive": row.exclusive and columns["product_id"] == row.product_id,
    }


async def _columns_of_a_foreign_one(connection: AsyncConnection, obj: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that only we know, for a subscription that was not made here or is not in a restored dump.

    The operation that made the latter is named, so that a retry of it gets this one.
    """
    customer = obj["customer"] if isinstance(obj["customer"], str) else str(obj["customer"]["id"])
    known = (await connection.execute(select(customers.c.id).where(customers.c.stripe_customer_id == customer))).first()
    mark = (obj.get("metadata") or {}).get("lean_payments_operation")
    return {
        "id": f"lps_{obj['id'].removeprefix('sub_')}",
        "operation_id": mark,
        "customer_id": known.id if known else foreign_id(customer),
        "exclusive": False,
    }


async def get(connection: AsyncConnection, subscription_id: str, *, livemode: bool) -> Row[Any] | None:
    """Return a subscription by our id or Stripe's."""
    return (await connection.execute(_BY_ID, {"id": subscription_id, "livemode": livemode})).first()


async def list_page(
    connection: AsyncConnection,
    *,
    livemode: bool,
    customer_id: str | None,
    page: Page,
    **exact: str | None,
) -> tuple[list[Row[Any]], bool]:
    """Return a page of subscriptions, newest first, and whether there are more.

    Args:
        connection: to read from.
        livemode: of the account.
        customer_id: our id of the customer, or Stripe's.
        page: that was asked for.
        exact: further columns and the values that they must have, if any.

    Raises:
        UnknownCursor: the page is to begin at no subscription.
    """
    statement = select(subscriptions)
    if customer_id is not None:
        of_stripe = customer_id.startswith("cus_")
        column = subscriptions.c.stripe_customer_id if of_stripe else subscriptions.c.customer_id
        statement = statement.where(column == customer_id)
    for name, value in exact.items():
        if value is not None:
            statement = statement.where(subscriptions.c[name] == value)
    among = (subscriptions.c.livemode == livemode, subscriptions.c.stripe_subscription_id.is_not(None))
    return await read_page(connection, statement, order=_ORDER, page=page, among=among)


def to_view(row: Row[Any]) -> SubscriptionView:
    """Build the public view of a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    shown = {name: values[name] for name in SubscriptionView.__struct_fields__ if name != "pause_collection"}
    pause = None
    if row.pause_behavior is not None:
        pause = PauseCollection(behavior=row.pause_behavior, resumes_at=row.pause_resumes_at)
    return SubscriptionView(**shown, pause_collection=pause)


def to_created(row: Row[Any], obj: dict[str, Any], *, customer_id: str) -> CreatedSubscription:
    """Build the answer to create-subscription of a row and Stripe's object, which holds the client secret."""
    secret, kind = client_secret(obj)
    ours = {"customer_id": customer_id, "client_secret": secret, "client_secret_kind": kind}
    values = {**row._mapping, **ours}  # noqa: SLF001 - see to_view
    return CreatedSubscription(**{name: values[name] for name in CreatedSubscription.__struct_fields__})
