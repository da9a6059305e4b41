"""Which operations on a subscription end in the order in which they began (`operations/turns.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.operations import turns
from payment_service.subscriptions import cancellation, change, update

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

KINDS: Final = (cancellation.KIND.name, change.KIND.name, update.KIND.name)


async def take_turn(connection: AsyncConnection, stripe_subscription_id: str | None, *, livemode: bool) -> None:
    """Hold a subscription until the transaction ends, in which an operation on it begins; raises as `turns.take`."""
    assert stripe_subscription_id is not None
    await turns.take(connection, KINDS, stripe_subscription_id=stripe_subscription_id, livemode=livemode)
