"""Applies events to the mirror: which object an event tells about, and how that object is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from payment_service.catalog.schemas import price_columns, product_columns
from payment_service.customers.store import apply_stripe_customer
from payment_service.payments.schemas import invoice_columns
from payment_service.platform import stripe_calls
from payment_service.platform.mirroring import Seen, mirror
from payment_service.platform.stripe_gateway import StripeRejected
from payment_service.subscriptions.store import record
from payment_service.tables import customers, invoices, prices, products, subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.platform.stripe_gateway import StripeGateway
    from payment_service.webhooks.schemas import InboxEvent

NOT_FOUND: Final = 404


class Write(Protocol):
    """Writes one object."""

    async def __call__(
        self,
        connection: AsyncConnection,
        obj: dict[str, Any],
        *,
        as_of: int,
        seen: Seen | None,
        cause: str,
        now: datetime,
    ) -> object:
        """Write `obj` as it was at `as_of`; raises NeedsFetch when that may be older than the row."""


@dataclass(frozen=True, slots=True)
class Target:
    """How one kind of object is fetched and written."""

    collection: str
    write: Write
    table: Table
    key: str = "id"
    """The column that holds Stripe's id."""


def _mirrored(table: Table, columns: Callable[[dict[str, Any]], dict[str, Any]]) -> Write:
    async def write(
        connection: AsyncConnection, obj: dict[str, Any], *, as_of: int, seen: Seen | None, cause: str, now: datetime
    ) -> None:
        await mirror(
            connection,
            table,
            key={"id": obj["id"]},
            columns=columns(obj),
            as_of=as_of,
            seen=seen,
            cause=cause,
            now=now,
        )

    return write


TARGETS: Final = {
    "customer": Target("customers", apply_stripe_customer, customers, "stripe_customer_id"),
    "product": Target("products", _mirrored(products, product_columns), products),
    "price": Target("prices", _mirrored(prices, price_columns), prices),
    "subscription": Target("subscriptions", record, subscriptions, "stripe_subscription_id"),
    "invoice": Target("invoices", _mirrored(invoices, invoice_columns), invoices),
}
"""By the object's `object` member."""


def target_of(event: InboxEvent) -> Target | None:
    """Return how the event is applied; None for a kind that is only kept."""
    obj = event.content["data"]["object"]
    return TARGETS.get(obj.get("object", "")) if obj.get("id") else None


def snapshot_of(event: InboxEvent) -> dict[str, Any]:
    """Return the object as the event shows it; deletion events say so by their type alone."""
    obj: dict[str, Any] = event.content["data"]["object"]
    deleted = event.type in {"customer.deleted", "product.deleted", "price.deleted"}
    return {**obj, "deleted": True} if deleted else obj


async def fetch_current(gateway: StripeGateway, event: InboxEvent, target: Target) -> dict[str, Any] | None:
    """Return the object as Stripe has it now; None when it is gone."""
    try:
        obj = await stripe_calls.retrieve(gateway, target.collection, event.object_id)
    except StripeRejected as error:
        if error.http_status == NOT_FOUND:
            return None
        raise
    if obj.get("deleted"):
        return {**snapshot_of(event), "deleted": True}
    return obj
