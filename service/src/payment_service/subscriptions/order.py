"""Which operations on a subscription end in the order in which they began (`operations/turns.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.errors import SubscriptionInProgress
from payment_service.operations import turns
from payment_service.operations.turns import Turns
from payment_service.subscriptions import cancellation, change, update

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

TURNS: Final = Turns(
    kinds=(cancellation.KIND.name, change.KIND.name, update.KIND.name),
    fact="stripe_subscription_id",
    busy=SubscriptionInProgress,
    noun="subscription",
)


async def take_turn(connection: AsyncConnection, stripe_subscription_id: str | None, *, livemode: bool) -> None:
    """Hold a subscription until the transaction ends, in which an operation on it begins; raises as `turns.take`."""
    assert stripe_subscription_id is not None
    await turns.take(connection, TURNS, stripe_id=stripe_subscription_id, livemode=livemode)
