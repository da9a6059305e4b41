"""Ends an operation on a subscription with what Stripe refused, or with what the refusal comes from."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from payment_service.errors import Conflict
from payment_service.mirror.subscription import TERMINAL
from payment_service.operations.service import refusal
from payment_service.operations.state import State
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.subscriptions.answers import answer_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.errors import PaymentsError
    from payment_service.json_types import JsonObject
    from payment_service.operations.schemas import Operation
    from payment_service.operations.steps import Step, Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.recorder import Recorder

S = TypeVar("S", bound=State)
FIELDS: Final = {
    "default_payment_method": "default_payment_method_id",
    "description": "description",
    "metadata": "metadata",
    "trial_end": "trial_end",
}
"""Our fields by Stripe's parameters."""


async def _nothing(step: Step[S]) -> None:
    pass


class Refusals(Generic[S]):
    """Ends operations.

    Args:
        gateway: is asked what the subscription is like.
        recorder: of subscriptions.
        steps: commits the answer.
        ending: what else is written with the answer.
    """

    def __init__(
        self,
        gateway: StripeGateway,
        recorder: Recorder,
        steps: Steps,
        *,
        ending: Callable[[Step[S]], Awaitable[None]] = _nothing,
    ) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps
        self._ending = ending

    async def refuse(self, operation: Operation[S], error: PaymentsError) -> None:
        """End an operation with an error."""
        async with self._steps.take(operation) as step:
            await self._ending(step)
            step.response = refusal(error, operation)

    async def refuse_as_it_is(self, operation: Operation[S], stripe_id: str, error: StripeRejected) -> None:
        """End an operation with Stripe's refusal, or with a conflict: the subscription has ended meanwhile."""
        obj: JsonObject | None = None
        with contextlib.suppress(StripeRejected):  # it is not there at all: test data was deleted
            obj = await calls.retrieve_subscription(self._gateway, stripe_id)
        if obj is None or answer_of(obj).status not in TERMINAL:
            name_field(error)
            await self.refuse(operation, error)
            return
        ended = refusal(Conflict("The subscription has ended already"), operation)

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                await self._ending(step)
                step.response = ended

        await self._recorder.until_current(obj, write)


def name_field(error: StripeRejected) -> None:
    """Let a refusal name the field of the request that it is about, beside Stripe's parameter."""
    field = FIELDS.get((error.param or "").partition("[")[0])
    if field is not None:
        error.extra["errors"] = [{"field": field, "message": error.detail}]
