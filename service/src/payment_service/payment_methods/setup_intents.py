"""Creates a setup intent, with which a customer saves a payment method: the operation `create_setup_intent`.

What the customer confirms with its client secret is attached by Stripe itself, authenticated where the bank asks for it
(docs.stripe.com/payments/save-and-reuse). Events tell of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from payment_service.operations.schemas import Asked, Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State, convert
from payment_service.payment_methods import store
from payment_service.payment_methods.schemas import CreatedSetupIntent, CreateSetupIntent
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.stripe_api.metadata import OPERATION
from payment_service.stripe_api.objects import id_in, read

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.operations.recorder import ObjectRecorder
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway


class CreatingSetupIntent(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "finished"] = "started"
    customer_id: str
    """Our id."""
    stripe_customer_id: str
    end_user: str | None = None
    """A fingerprint of the end user's address."""


class Secret(Struct):
    """What is read of a setup intent beside its row: it is stored in the answer alone."""

    client_secret: str


KIND: Final = Kind("create_setup_intent", CreatingSetupIntent)


class SetupIntentCreation:
    """Drives the operation.

    Args:
        gateway: makes it.
        recorder: of setup intents.
        steps: commits the answer.
    """

    def __init__(self, gateway: StripeGateway, recorder: ObjectRecorder, steps: Steps) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps

    async def handle(self, operation: Operation[CreatingSetupIntent]) -> None:
        """Create it at Stripe, record it, answer: there is one phase alone."""
        try:
            obj = await self._make(operation)
        except (StripeRejected, StripeDeclined) as error:
            async with self._steps.take(operation) as step:
                step.response = refusal(error, operation)
            return

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._recorder.write(step.connection, current, seen=seen, cause=operation.id)
                row = await store.get_setup_intent(step.connection, id_in(current), livemode=operation.livemode)
                assert row is not None
                members = store.setup_intent_members(row)
                view = CreatedSetupIntent(**members, client_secret=read(current, Secret).client_secret)
                step.response = StoredResponse.of(201, view)

        await self._recorder.until_current(obj, write)

    async def _make(self, operation: Operation[CreatingSetupIntent]) -> JsonObject:
        """Return the operation's setup intent as it is now, made unless an earlier try made it."""
        request, customer = _request_of(operation), operation.state.stripe_customer_id
        if not operation.stripe_keys_hold:
            found = await calls.find_setup_intent(
                self._gateway, customer=customer, metadatum=(OPERATION, operation.reference)
            )
            if found is not None:
                return found
        return await calls.create_setup_intent(
            self._gateway,
            key=operation.stripe_key("setup_intent"),
            customer=customer,
            usage=request.usage,
            metadata={**request.metadata, OPERATION: operation.reference},
        )


def _request_of(asked: Asked) -> CreateSetupIntent:
    return convert(asked.request, CreateSetupIntent)
