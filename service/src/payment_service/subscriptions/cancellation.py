"""Cancels a subscription: the operation `cancel_subscription`, one call to Stripe whose result is recorded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from payment_service.errors import Conflict, PaymentsError
from payment_service.mirror.subscription import TERMINAL
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State, convert
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.subscriptions import store
from payment_service.subscriptions.answers import answer_of

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.operations.schemas import Asked
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.recorder import Recorder

NO_PERIOD: Final = (
    "The subscription is incomplete: its first payment is not made, so there is no period to end with; "
    "send at_period_end: false to cancel it now"
)


class CancellingSubscription(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "finished"] = "started"
    stripe_subscription_id: str | None = None
    """None: it had ended before."""
    prorate: bool = False
    """The rest of the period is given back."""

    def __post_init__(self) -> None:
        """Check what a phase needs."""
        if self.phase == "started" and self.stripe_subscription_id is None:
            raise ValueError("stripe_subscription_id is missing")


class Cancel(Struct, kw_only=True):
    """The request as it is stored."""

    subscription_id: str
    at_period_end: bool


KIND: Final = Kind("cancel_subscription", CancellingSubscription)


class SubscriptionCancellation:
    """Ends a subscription with its period or at once."""

    def __init__(self, gateway: StripeGateway, recorder: Recorder, steps: Steps) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps

    async def handle(self, operation: Operation[CancellingSubscription]) -> None:
        """Call Stripe and record what it says; one that has ended cannot be told to end later."""
        stripe_id, at_period_end = operation.state.stripe_subscription_id, _request_of(operation).at_period_end
        assert stripe_id is not None
        try:
            obj = await self._call(operation, stripe_id, at_period_end=at_period_end)
        except StripeRejected as refused:
            error: PaymentsError = refused
            with contextlib.suppress(StripeRejected):  # it is not there at all: test data was deleted
                obj = await calls.retrieve_subscription(self._gateway, stripe_id)
                status = answer_of(obj).status
                if status in TERMINAL:
                    await self._finish(operation, obj, ended_before=True)
                    return
                if status == "incomplete" and at_period_end:
                    error = Conflict(NO_PERIOD, subscription_status=status)
            async with self._steps.take(operation) as step:
                step.response = refusal(error, operation)
        else:
            await self._finish(operation, obj, ended_before=False)

    async def _finish(
        self, operation: Operation[CancellingSubscription], obj: JsonObject, *, ended_before: bool
    ) -> None:
        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                step.response = (
                    refusal(Conflict("The subscription has ended already"), operation)
                    if ended_before
                    else StoredResponse.of(200, store.to_view(row))
                )

        await self._recorder.until_current(obj, write)

    async def _call(
        self, operation: Operation[CancellingSubscription], stripe_id: str, *, at_period_end: bool
    ) -> JsonObject:
        key = operation.stripe_key("cancel")
        if at_period_end:
            return await calls.set_cancel_at_period_end(self._gateway, stripe_id, key=key)
        return await calls.cancel_subscription(
            self._gateway, stripe_id, key=key, comment=operation.reference, prorate=operation.state.prorate
        )


def _request_of(asked: Asked) -> Cancel:
    return convert(asked.request, Cancel)
