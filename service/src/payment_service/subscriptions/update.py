"""Changes what of a subscription costs nothing: the operation `update_subscription`, one call whose result is recorded.

That is metadata, description, the default payment method and whether it ends with its period. Setting them again comes
to the same, so nothing has to be found out when Stripe may have forgotten the call's key. How a cancellation is taken
back depends on how it was made, at Stripe and not in the mirror, which may be behind: that is asked, and kept, first.

```
started → looked → finished
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.state import Kind, State, convert
from payment_service.stripe_api import calls, change_calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import Seconds, read
from payment_service.subscriptions.change_answers import ChangeAnswer, Outcome
from payment_service.subscriptions.refusals import Refusals

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.operations.schemas import Asked
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.recorder import Recorder


class UpdatingSubscription(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "looked", "finished"] = "started"
    customer_id: str | None = None
    """Our id of whose it is; None: the customer is not known here."""
    stripe_subscription_id: str
    ends_on_a_date: bool = False
    """It was to end at a moment that is not its period's end: a cancellation that is taken back otherwise. Known from
    `looked` on."""


class Ending(Struct):
    """When a subscription ends (docs.stripe.com/api/subscriptions/object)."""

    cancel_at: Seconds | None = None
    cancel_at_period_end: bool | None = None

    @property
    def on_a_date(self) -> bool:
        """Whether that is not its period's end."""
        return self.cancel_at is not None and not self.cancel_at_period_end


class Update(Struct, kw_only=True):
    """The request as it is stored."""

    metadata: dict[str, str | None] | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    default_payment_method_id: str | UnsetType = UNSET
    cancel_at_period_end: bool | UnsetType = UNSET

    def params(self, *, ends_on_a_date: bool) -> dict[str, object]:
        """Return Stripe's parameters; an empty text removes what it stands for (docs.stripe.com/api/metadata)."""
        given: dict[str, object] = {}
        if self.metadata is not UNSET:
            given["metadata"] = {name: value or "" for name, value in self.metadata.items()}
        if self.description is not UNSET:
            given["description"] = self.description or ""
        if self.default_payment_method_id is not UNSET:
            given["default_payment_method"] = self.default_payment_method_id
        if self.cancel_at_period_end is False and ends_on_a_date:
            given["cancel_at"] = ""
        elif self.cancel_at_period_end is not UNSET:
            given["cancel_at_period_end"] = self.cancel_at_period_end
        return given


KIND: Final = Kind("update_subscription", UpdatingSubscription)


class SubscriptionUpdate:
    """Drives the operation."""

    def __init__(self, gateway: StripeGateway, recorder: Recorder, steps: Steps) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps
        self._refusals: Refusals[UpdatingSubscription] = Refusals(gateway, recorder, steps)

    async def handle(self, operation: Operation[UpdatingSubscription]) -> None:
        """Look how it ends, if that is taken back; then tell Stripe, record the subscription, answer with it."""
        state, request = operation.state, _request_of(operation)
        if state.phase == "started" and request.cancel_at_period_end is False:
            await self._look(operation)
            return
        params = request.params(ends_on_a_date=state.ends_on_a_date)
        key = operation.stripe_key("update")
        try:
            obj = await change_calls.update_subscription(
                self._gateway, state.stripe_subscription_id, params=params, key=key
            )
        except StripeRejected as error:
            await self._refusals.refuse_as_it_is(operation, state.stripe_subscription_id, error)
            return

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                step.response = StoredResponse.of(200, read(current, ChangeAnswer).changed(row, Outcome()))

        await self._recorder.until_current(obj, write)

    async def _look(self, operation: Operation[UpdatingSubscription]) -> None:
        """Keep whether it is to end on a date."""
        stripe_id = operation.state.stripe_subscription_id
        try:
            obj = await calls.retrieve_subscription(self._gateway, stripe_id)
        except StripeRejected as error:
            await self._refusals.refuse_as_it_is(operation, stripe_id, error)
            return
        async with self._steps.take(operation) as step:
            step.state.phase, step.state.ends_on_a_date = "looked", read(obj, Ending).on_a_date


def _request_of(asked: Asked) -> Update:
    return convert(asked.request, Update)
