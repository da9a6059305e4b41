"""SQL of slots: the one live subscription that a customer may have to a product.

A slot is taken in two ways. Whatever is live at Stripe takes the slots of all products among its items, wherever and
by whom it was made; the mirrored rows are asked for that. Before Stripe knows of it, the row of a creation in progress
(`creating`, then `incomplete`), or of a change to the product (`creating`, `change_slot.py`), holds the slot of its
product by the unique index `uq_subscriptions_slot`, so that of two requests at the same moment one alone goes on to
Stripe.

The index guards what we are about to do and never what Stripe says: a row that Stripe moves to another product gives
up its entry (`exclusive`) for good, for two subscriptions to one product are allowed there. It stays live, and that
still takes the slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Boolean, Text, bindparam, delete, or_, select

from payment_service.errors import SubscriptionExists
from payment_service.mirror.subscription import TERMINAL
from payment_service.storage.expressions import HasMember
from payment_service.storage.statements import InsertNew
from payment_service.storage.tables import LIVE_STATUSES, subscriptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.rows import SubscriptionRow

_SAME_CUSTOMER: Final = (
    subscriptions.c.livemode == bindparam("livemode"),
    or_(  # a subscription's event may have come before it was known whose customer that is
        subscriptions.c.customer_id == bindparam("customer_id"),
        subscriptions.c.stripe_customer_id == bindparam("stripe_customer_id", type_=Text),
    ),
)
_LIVE: Final = select(subscriptions).where(
    *_SAME_CUSTOMER,
    subscriptions.c.id != bindparam("besides", type_=Text),
    subscriptions.c.status.in_(LIVE_STATUSES),
    or_(
        subscriptions.c.product_id == bindparam("product_id"),
        HasMember(subscriptions.c["items"], "product_id", bindparam("product_id")),
    ),
)
_RESERVED: Final = (
    "id",
    "operation_id",
    "livemode",
    "customer_id",
    "product_id",
    "ordered_product_id",
    "price_id",
    "quantity",
    "status",
    "exclusive",
    "metadata",
    "created_at",
    "updated_at",
)
_IF_FREE: Final = select(*(bindparam(name, type_=subscriptions.c[name].type) for name in _RESERVED)).where(
    or_(~bindparam("exclusive", type_=Boolean), ~_LIVE.with_only_columns(subscriptions.c.id).exists())
)
_RESERVE: Final = InsertNew(subscriptions, returning=(subscriptions.c.id,), names=_RESERVED, source=_IF_FREE)
_FIRST_LIVE: Final = _LIVE.limit(1)
_HOLDER: Final = select(subscriptions).where(
    *_SAME_CUSTOMER,
    subscriptions.c.product_id == bindparam("product_id"),
    subscriptions.c.exclusive,
    subscriptions.c.status.not_in(TERMINAL),
)


class Slot(NamedTuple):
    """Whose it is, and to which product."""

    livemode: bool
    customer_id: str
    stripe_customer_id: str | None
    product_id: str
    besides: str = ""
    """Our id of a subscription that is to have it: one that is moved to the product."""


class Wanted(NamedTuple):
    """What is to take a slot."""

    subscription_id: str
    operation_reference: str
    """Of the operation that makes it."""
    price_id: str
    quantity: int | None
    metadata: Mapping[str, str]
    exclusive: bool
    """Whether it takes the slot for itself; else others may be live beside it."""


async def find_live(connection: AsyncConnection, slot: Slot) -> SubscriptionRow | None:
    """Return a live subscription of this customer with this product among its items, wherever it was made."""
    return (await connection.execute(_FIRST_LIVE, slot._asdict())).first()


async def find_holder(connection: AsyncConnection, slot: Slot) -> SubscriptionRow | None:
    """Return the row that holds the slot of this customer and product in the index."""
    return (await connection.execute(_HOLDER, slot._asdict())).first()


async def reserve(connection: AsyncConnection, slot: Slot, wanted: Wanted, *, now: datetime) -> bool:
    """Insert the row of a subscription about to be made; False when another one holds the slot or is live.

    The partial unique index decides, so two requests at the same moment cannot both go on to Stripe.
    """
    values = slot._asdict() | {
        "id": wanted.subscription_id,
        "operation_id": wanted.operation_reference,
        "ordered_product_id": slot.product_id,
        "price_id": wanted.price_id,
        "quantity": wanted.quantity,
        "status": "creating",
        "exclusive": wanted.exclusive,
        "metadata": dict(wanted.metadata),
        "created_at": now,
        "updated_at": now,
    }
    return await _RESERVE.run(connection, values) is not None


async def release(connection: AsyncConnection, subscription_id: str) -> None:
    """Remove a reserved row for which nothing was made at Stripe."""
    await connection.execute(
        delete(subscriptions).where(subscriptions.c.id == subscription_id, subscriptions.c.status == "creating")
    )


def exists(row: SubscriptionRow) -> SubscriptionExists:
    """Return the error that names the live subscription."""
    has = "live subscription" if row.status in LIVE_STATUSES else f"{row.status} subscription"
    return SubscriptionExists(
        f"The customer already has the {has} {row.id} to this product; set allow_multiple to add another",
        subscription_id=row.id,
        subscription_status=row.status,
    )
