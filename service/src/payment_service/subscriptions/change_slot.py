"""The slot of a change to another product: taken in its first transaction, given back in whichever is its last.

A change takes the slot as a creation does (`slots.py`): a row with the status `creating` holds it until the change has
its answer, so that of two requests at the same moment, changes or creations, one alone goes on to Stripe. When the
change is made, the subscription itself is live there and holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from payment_service.errors import SubscriptionInProgress
from payment_service.mirror.person import foreign_id
from payment_service.storage.ids import new_id
from payment_service.subscriptions import slots

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.errors import PaymentsError
    from payment_service.operations.schemas import Asked
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.subscriptions.wanted import Wanted


class Held(Struct, omit_defaults=True):
    """A slot that a change takes."""

    product_id: str
    stripe_customer_id: str
    subscription_id: str | None = None
    """Of the row that holds it; None: the changed subscription has the product already, as far as is known here."""


class Taking(NamedTuple):
    """What is to take a slot."""

    wanted: Wanted
    """The change."""
    product: str
    """Stripe's id of its price's product."""
    now: datetime
    """The present time."""


async def obstacle(connection: AsyncConnection, row: SubscriptionRow, *, product: str) -> PaymentsError | None:
    """Return why a subscription cannot be moved to a product, as far as is known here; None: it can."""
    other = None if product == row.product_id else await slots.find_live(connection, _slot(row, product))
    return None if other is None else slots.exists(other)


async def take(
    connection: AsyncConnection, asked: Asked, row: SubscriptionRow, taking: Taking
) -> tuple[Held | None, PaymentsError | None]:
    """Take the slot of a product for a change of a subscription; return it, or why the customer cannot have it.

    Args:
        connection: in the transaction in which the operation begins.
        asked: the operation.
        row: the subscription.
        taking: what is to take it.

    Raises:
        SubscriptionInProgress: another request is about to take it.
    """
    change, product, now = taking
    assert row.stripe_customer_id is not None  # what is changed is Stripe's
    held = Held(product, row.stripe_customer_id)
    if product == row.product_id:
        return held, None
    slot = _slot(row, product)
    wanted = slots.Wanted(
        subscription_id=new_id("lps"),
        operation_reference=asked.reference,
        price_id=change.price or "",
        quantity=change.quantity,
        metadata={},
        exclusive=True,
    )
    if await slots.reserve(connection, slot, wanted, now=now):
        held.subscription_id = wanted.subscription_id
        return held, None
    other = await slots.find_live(connection, slot) or await slots.find_holder(connection, slot)
    if other is None or other.stripe_subscription_id is None:
        raise SubscriptionInProgress(
            "Another request is creating or changing a subscription of this customer to this product", retry_after=2
        )
    return None, slots.exists(other)


async def give_back(connection: AsyncConnection, held: Held | None) -> None:
    """Give a slot back in the transaction that ends the change."""
    if held is not None and held.subscription_id is not None:
        await slots.release(connection, held.subscription_id)


def _slot(row: SubscriptionRow, product: str) -> slots.Slot:
    customer = row.customer_id or foreign_id(row.stripe_customer_id or "")
    return slots.Slot(row.livemode, customer, row.stripe_customer_id, product, besides=row.id)
