"""Records subscriptions as Stripe answered to our own calls: see `operations/recorder.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.mirror import subscription
from payment_service.operations.recorder import ObjectRecorder
from payment_service.stripe_api import calls
from payment_service.subscriptions import slots

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Step
    from payment_service.storage.database import Database
    from payment_service.storage.mirror import Seen
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.creation_state import CreatingSubscription


class Recorder(ObjectRecorder):
    """Writes subscriptions that our own calls returned."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock) -> None:
        self._gateway = gateway
        super().__init__(database, kind=subscription.KIND, retrieve=self._now, clock=clock)

    async def _now(self, stripe_id: str) -> JsonObject:
        return await calls.retrieve_subscription(self._gateway, stripe_id)

    async def record(
        self, connection: AsyncConnection, obj: JsonObject, *, seen: Seen | None, cause: str
    ) -> SubscriptionRow:
        """Write the subscription and return its row.

        Raises:
            NeedsFetch: see `until_current`.
            StripeUnreadable: a member is not as Stripe's reference says.
        """
        return await subscription.record(connection, obj, provenance=self.answered(obj, seen=seen, cause=cause))

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
