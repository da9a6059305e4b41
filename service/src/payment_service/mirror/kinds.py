"""Which object an event tells about, and how that object is fetched and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from payment_service.catalog.schemas import price_columns, product_columns
from payment_service.customers.schemas import customer_columns
from payment_service.customers.store import apply_stripe_customer
from payment_service.http.strict_json import storable
from payment_service.mirror import payment_columns
from payment_service.storage import payment_tables as money
from payment_service.storage.mirror import Ended, NeedsFetch, Provenance, mirror
from payment_service.storage.tables import customers, prices, products, subscriptions
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import StripeUnreadable, has_more_items
from payment_service.subscriptions.schemas import subscription_columns
from payment_service.subscriptions.store import ENDED as ENDED_SUBSCRIPTION
from payment_service.subscriptions.store import columns_beside, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Table
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.events.schemas import InboxEvent
    from payment_service.stripe_api.gateway import StripeGateway

    Columns = Callable[[dict[str, Any]], dict[str, Any]]

_ALL: Final[Mapping[str, str]] = {}
_NO_STATE: Final = {"id", "object", "livemode", "deleted"}
"""Members that name an object, and tell whether it is there."""
_DELETED: Final = Ended("deleted", frozenset({True}))


class Write(Protocol):
    """Writes one object."""

    async def __call__(
        self,
        connection: AsyncConnection,
        obj: dict[str, Any],
        *,
        provenance: Provenance,
    ) -> object:
        """Write `obj` as it was at a time; raises NeedsFetch when that may be older than the row."""


@dataclass(frozen=True, slots=True)
class Target:
    """How one kind of object is fetched, written and compared."""

    collection: str
    write: Write
    table: Table
    columns: Columns
    ended: Ended | None
    beside: Callable[[dict[str, Any], Row[Any]], dict[str, Any]] | None = None
    """The columns of the object beside its row, where they depend on what only the row knows."""
    key: str = "id"
    """The column that holds Stripe's id."""
    listing: Mapping[str, str] = field(default_factory=dict)
    """Parameters that make Stripe's list complete."""

    def compared(self, obj: dict[str, Any], row: Row[Any]) -> dict[str, Any]:
        """Return what the row is to hold when it shows `obj`."""
        return self.columns(obj) if self.beside is None else self.beside(obj, row)


def _plain(
    collection: str, table: Table, columns: Columns, *, ended: Ended | None, listing: Mapping[str, str] = _ALL
) -> Target:
    """Describe an object whose row holds nothing but what Stripe says."""

    async def write(connection: AsyncConnection, obj: dict[str, Any], *, provenance: Provenance) -> None:
        key = {"id": obj["id"]}
        await mirror(connection, table, key=key, columns=columns(obj), provenance=provenance, ended=ended)

    return Target(collection, write, table, columns, ended, listing=listing)


async def _write_subscription(connection: AsyncConnection, obj: dict[str, Any], *, provenance: Provenance) -> None:
    """Write a subscription; a snapshot shows at most ten items (docs.stripe.com/api/subscriptions/object)."""
    if has_more_items(obj) and provenance.seen is None:
        raise NeedsFetch
    await record(connection, obj, provenance=provenance)


def _ends(*statuses: str) -> Ended:
    return Ended("status", frozenset(statuses))


TARGETS: Final = {
    "customer": Target(
        "customers", apply_stripe_customer, customers, customer_columns, _DELETED, key="stripe_customer_id"
    ),
    "product": _plain("products", products, product_columns, ended=_DELETED),
    "price": _plain("prices", prices, price_columns, ended=_DELETED),
    "subscription": Target(
        "subscriptions",
        _write_subscription,
        subscriptions,
        subscription_columns,
        ENDED_SUBSCRIPTION,
        beside=columns_beside,
        key="stripe_subscription_id",
        listing={"status": "all"},
    ),
    "invoice": _plain(
        "invoices", money.invoices, payment_columns.invoice_columns, ended=_ends("paid", "void", "deleted")
    ),
    "invoice_payment": _plain(
        "invoice_payments",
        money.invoice_payments,
        payment_columns.invoice_payment_columns,
        ended=_ends("paid", "canceled"),
        listing={"status": "paid"},  # Stripe tells by event of these only
    ),
    "payment_intent": _plain(
        "payment_intents",
        money.payment_intents,
        payment_columns.payment_intent_columns,
        ended=_ends("succeeded", "canceled"),
    ),
    "setup_intent": _plain(
        "setup_intents", money.setup_intents, payment_columns.setup_intent_columns, ended=_ends("succeeded", "canceled")
    ),
    "charge": _plain("charges", money.charges, payment_columns.charge_columns, ended=_ends("succeeded", "failed")),
    "refund": _plain("refunds", money.refunds, payment_columns.refund_columns, ended=_ends("failed", "canceled")),
    "dispute": _plain("disputes", money.disputes, payment_columns.dispute_columns, ended=_ends("won", "lost")),
    "checkout.session": _plain(
        "checkout/sessions",
        money.checkout_sessions,
        payment_columns.checkout_session_columns,
        ended=_ends("complete", "expired"),
    ),
}
"""By the object's `object` member. Rows are locked in this order, so that two workers never wait for each other."""
RANKS: Final = {kind: rank for rank, kind in enumerate(TARGETS)}


def kind_of(event: InboxEvent) -> str | None:
    """Return the kind of the event's object; None for a kind, or a connected account, that is only kept."""
    kind = event.object.get("object")
    return kind if kind in TARGETS and event.object.get("id") and event.account is None else None


def deletes(event: InboxEvent) -> bool:
    """Tell whether the event says that the object is gone; only its type says so."""
    named = event.type.removeprefix("v1.") if event.thin else event.type
    return named in {"customer.deleted", "product.deleted", "price.deleted", "invoice.deleted"}


def snapshot_of(event: InboxEvent) -> dict[str, Any]:
    """Return the object as the event shows it; some kinds do not tell their mode, and a thin event tells no more."""
    obj: dict[str, Any] = {"livemode": event.livemode, **event.object}
    return obj | {"deleted": True} if deletes(event) else obj


def check_snapshot(event: InboxEvent) -> None:
    """Check what the event shows, if it shows any state of an object that has a row.

    Raises:
        StripeUnreadable: no row can be made of it.
    """
    kind, obj = kind_of(event), snapshot_of(event)
    if kind is not None and not obj.keys() <= _NO_STATE:
        TARGETS[kind].columns(obj)


def marks_only(obj: dict[str, Any]) -> bool:
    """Tell whether this can only mark a row as deleted: no snapshot says what else the row would hold."""
    return obj.get("object") in {"price", "invoice"} and obj.keys() <= _NO_STATE


async def fetch_current(gateway: StripeGateway, target: Target, events: list[InboxEvent]) -> dict[str, Any] | None:
    """Return the object as Stripe has it now; None when it is gone and none of its events says why.

    Raises:
        StripeUnreadable: it is not the one that was asked for.
    """
    newest = events[-1]
    try:
        obj = storable(await calls.retrieve(gateway, target.collection, newest.object_id))
    except StripeRejected as error:
        if not error.not_found:
            raise
        last_words = sorted((event for event in events if deletes(event)), key=lambda event: not event.thin)
        return snapshot_of(last_words[-1]) if last_words else None
    if (obj.get("object"), obj.get("id")) != (newest.object["object"], newest.object_id):
        raise StripeUnreadable("id or object is another one's than was asked for")
    if obj.get("deleted"):
        return {**snapshot_of(newest), **obj}
    if has_more_items(obj):
        obj["items"] = {"data": await _all_items(gateway, obj["id"])}
    return {"livemode": newest.livemode, **obj}


async def _all_items(gateway: StripeGateway, subscription_id: str) -> list[dict[str, Any]]:
    """List a subscription's items; Stripe allows 20 (docs.stripe.com/api/subscription_items)."""
    page = await calls.list_page(gateway, "subscription_items", subscription=subscription_id)
    found: list[dict[str, Any]] = storable(page["data"])
    return found
