"""Drives the operation `cancel_subscription`: one call to Stripe, then its result is recorded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from payment_service.errors import Conflict, PaymentsError
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import Operations, refusal
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.subscriptions import store
from payment_service.subscriptions.schemas import TERMINAL

if TYPE_CHECKING:
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway, StripeObject
    from payment_service.subscriptions.recorder import Recorder

KIND: Final = "cancel_subscription"
NO_PERIOD: Final = (
    "The subscription is incomplete: its first payment is not made, so there is no period to end with; "
    "send at_period_end: false to cancel it now"
)


class SubscriptionCancellation:
    """Ends a subscription with its period or at once."""

    def __init__(self, gateway: StripeGateway, recorder: Recorder) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self.operations: Operations | None = None

    async def handle(self, operation: Operation) -> None:
        """Call Stripe and record what it says; one that has ended cannot be told to end later."""
        assert self.operations is not None
        stripe_id = operation.facts["stripe_subscription_id"]
        try:
            obj = await self._call(operation, stripe_id)
        except StripeRejected as refused:
            error: PaymentsError = refused
            with contextlib.suppress(StripeRejected):  # it is not there at all: test data was deleted
                obj = await calls.retrieve_subscription(self._gateway, stripe_id)
                if obj["status"] in TERMINAL:
                    await self._finish(operation, obj, ended_before=True)
                    return
                if obj["status"] == "incomplete" and operation.request["at_period_end"]:
                    error = Conflict(NO_PERIOD, subscription_status=obj["status"])
            async with self.operations.finish(operation):
                operation.response = refusal(error, operation)
        else:
            await self._finish(operation, obj, ended_before=False)

    async def _finish(self, operation: Operation, obj: StripeObject, *, ended_before: bool) -> None:
        async def write(current: StripeObject, seen: Seen | None) -> None:
            assert self.operations is not None
            async with self.operations.finish(operation) as connection:
                row = await self._recorder.record(connection, current, seen=seen, cause=operation.id)
                operation.response = (
                    refusal(Conflict("The subscription has ended already"), operation)
                    if ended_before
                    else StoredResponse.of(200, store.to_view(row))
                )

        await self._recorder.until_current(obj, write)

    async def _call(self, operation: Operation, stripe_id: str) -> StripeObject:
        key = operation.stripe_key("cancel")
        if operation.request["at_period_end"]:
            return await calls.set_cancel_at_period_end(self._gateway, stripe_id, key=key)
        return await calls.cancel_subscription(self._gateway, stripe_id, key=key, mark=operation.mark)
