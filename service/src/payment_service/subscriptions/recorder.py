"""Records what Stripe answered to our own calls.

Such an answer is a snapshot, as an event's is: by the time it is written, an event may have brought something newer.
Then the present object is fetched and written under the condition that the row has not changed meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from sqlalchemy.exc import IntegrityError

from payment_service.errors import StripeUnavailable
from payment_service.mirror import subscription
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, see
from payment_service.storage.tables import subscriptions
from payment_service.stripe_api import calls
from payment_service.stripe_api.objects import created_in, id_in
from payment_service.subscriptions import slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Step
    from payment_service.storage.database import Database
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.creation_state import CreatingSubscription

TRIES: Final = 10
PAUSE_SECONDS: Final = 0.02
"""At most, before the second try, and twice as long before each further one: callers who change one subscription at the
same moment take turns instead of failing."""
LONGEST_PAUSE_SECONDS: Final = 1.0


class Recorder:
    """Writes subscriptions that our own calls returned."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def until_current(self, obj: JsonObject, write: Callable[[JsonObject, Seen | None], Awaitable[None]]) -> None:
        """Call `write` with `obj`, and again with the present object for as long as the row has moved on.

        Another transaction may make the row at the same moment; then the next try finds it.

        Raises:
            StripeUnavailable: it moves on every time; the operation is completed later.
        """
        turn = self._turns.setdefault(id_in(obj), asyncio.Lock())
        async with turn:
            await self._until_current(obj, write)

    async def _until_current(
        self, obj: JsonObject, write: Callable[[JsonObject, Seen | None], Awaitable[None]]
    ) -> None:
        seen: Seen | None = None
        for left in reversed(range(TRIES)):
            try:
                await write(obj, seen)
            except NeedsFetch:
                pause = PAUSE_SECONDS * 2 ** (TRIES - 1 - left)
                await asyncio.sleep(random.uniform(0, min(pause, LONGEST_PAUSE_SECONDS)))  # noqa: S311 - jitter
                async with self._database.read() as connection:
                    seen = await see(connection, subscriptions, {"stripe_subscription_id": id_in(obj)})
                obj = await calls.retrieve_subscription(self._gateway, id_in(obj))
            except IntegrityError:
                if not left:
                    raise
            else:
                return
        raise StripeUnavailable("The subscription changes faster than it can be recorded", retry_after=1)

    async def record(
        self, connection: AsyncConnection, obj: JsonObject, *, seen: Seen | None, cause: str
    ) -> SubscriptionRow:
        """Write the subscription and return its row.

        Raises:
            NeedsFetch: see `until_current`.
            StripeUnreadable: a member is not as Stripe's reference says.
        """
        answered = Provenance(cause, created_in(obj), self._clock.now(), seen)
        return await subscription.record(connection, obj, provenance=answered)

    async def record_for(
        self, step: Step[CreatingSubscription], obj: JsonObject, *, seen: Seen | None, cause: str
    ) -> SubscriptionRow:
        """Write the subscription of a creation; when it has a row that is not the reserved one, that is given back.

        Raises:
            NeedsFetch: see `until_current`.
        """
        row = await self.record(step.connection, obj, seen=seen, cause=cause)
        reserved = step.state.subscription_id
        if reserved is not None and reserved != row.id:
            await slots.release(step.connection, reserved)
        return row
