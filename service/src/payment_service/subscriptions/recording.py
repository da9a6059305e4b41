"""Records what Stripe answered to our own calls.

Such an answer is a snapshot, as an event's is: by the time it is written, an event may have brought something newer.
Then the present object is fetched and written under the condition that the row has not changed meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.errors import StripeUnavailable
from payment_service.platform import stripe_calls
from payment_service.platform.mirroring import NeedsFetch, Seen, see
from payment_service.subscriptions import store
from payment_service.tables import subscriptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.platform.stripe_gateway import StripeGateway, StripeObject

TRIES: Final = 5


class Recorder:
    """Writes subscriptions that our own calls returned."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock

    async def until_current(
        self, obj: StripeObject, write: Callable[[StripeObject, Seen | None], Awaitable[None]]
    ) -> None:
        """Call `write` with `obj`, and again with the present object for as long as the row has moved on.

        Raises:
            StripeUnavailable: it moves on every time; the operation is completed later.
        """
        seen: Seen | None = None
        for _ in range(TRIES):
            try:
                await write(obj, seen)
            except NeedsFetch:
                async with self._database.read() as connection:
                    seen = await see(connection, subscriptions, {"stripe_subscription_id": obj["id"]})
                obj = await stripe_calls.retrieve_subscription(self._gateway, obj["id"])
            else:
                return
        raise StripeUnavailable("The subscription changes faster than it can be recorded", retry_after=1)

    async def record(
        self, connection: AsyncConnection, obj: StripeObject, *, seen: Seen | None, cause: str
    ) -> Row[object]:
        """Write the subscription and return its row.

        Raises:
            NeedsFetch: see `until_current`.
        """
        as_of = int(obj["created"])
        return await store.record(connection, obj, as_of=as_of, seen=seen, cause=cause, now=self._clock.now())
