"""Cancels a setup intent with which a browser tried too many cards: the operation `cancel_setup_intent`.

Nobody asks for it, so a worker drives it; it stands under the principal that asked for the setup intent. One that has
ended by then needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from payment_service.errors import Conflict
from payment_service.mirror import setup_intent
from payment_service.operations.schemas import IdempotencyKey, Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State
from payment_service.payment_methods import store
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.operations.recorder import ObjectRecorder
    from payment_service.operations.steps import Steps
    from payment_service.operations.unattended import Unattended
    from payment_service.payment_methods.store import Maker
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway


class CancellingSetupIntent(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "finished"] = "started"
    setup_intent_id: str


KIND: Final = Kind("cancel_setup_intent", CancellingSetupIntent)


async def begin(unattended: Unattended, setup_intent_id: str, *, maker: Maker, event_id: str, livemode: bool) -> None:
    """Record that it is to be canceled, for a decline that an event tells of; once is enough unless that is refused.

    Stripe cancels none that is `processing`, which may come to take cards again
    (docs.stripe.com/payments/paymentintents/lifecycle).

    Raises:
        Recovering: the database was restored.
    """
    request: dict[str, object] = {"setup_intent_id": setup_intent_id}
    for name in (setup_intent_id, f"{setup_intent_id}/{event_id}"):
        key = IdempotencyKey(
            principal=maker.principal,
            livemode=livemode,
            method="WORKER",
            route=KIND.name,
            key=name,
            fingerprint=b"",
        )
        state = CancellingSetupIntent(setup_intent_id=setup_intent_id)
        begun = await unattended.begin(KIND, state, request=request, key=key)
        if begun or not await unattended.was_refused(key):
            return


class SetupCancellation:
    """Drives the operation.

    Args:
        gateway: is told.
        recorder: of setup intents.
        steps: commits the answer.
    """

    def __init__(self, gateway: StripeGateway, recorder: ObjectRecorder, steps: Steps) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps

    async def handle(self, operation: Operation[CancellingSetupIntent]) -> None:
        """Cancel it at Stripe, record it, answer: there is one phase alone."""
        setup_intent_id = operation.state.setup_intent_id
        try:
            obj = await self._cancel(setup_intent_id, key=operation.stripe_key("cancel"))
        except StripeRejected as error:
            async with self._steps.take(operation) as step:
                step.response = refusal(error, operation)
            return

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._recorder.write(step.connection, current, seen=seen, cause=operation.id)
                row = await store.get_setup_intent(step.connection, setup_intent_id, livemode=operation.livemode)
                assert row is not None
                view = store.to_setup_intent_view(row)
                step.response = (
                    StoredResponse.of(200, view)
                    if view.status == "canceled"
                    else refusal(Conflict(f"The setup intent is {view.status}"), operation)
                )

        await self._recorder.until_current(obj, write)

    async def _cancel(self, setup_intent_id: str, *, key: str) -> JsonObject:
        """Cancel it, and return it as it is now.

        Raises:
            StripeRejected: it can be canceled no more and cannot be read either.
        """
        try:
            return await calls.cancel_setup_intent(self._gateway, setup_intent_id, key=key)
        except StripeRejected:
            return await calls.retrieve(self._gateway, setup_intent.KIND.collection, setup_intent_id)
