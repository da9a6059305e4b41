"""What becomes of a creation, recorded: each is one step, with the subscription as Stripe shows it by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from payment_service.errors import PaymentDeclined, SubscriptionInProgress
from payment_service.observability.metrics import PAYMENT_ATTEMPTS
from payment_service.operations.schemas import StoredResponse
from payment_service.operations.service import refusal
from payment_service.payments.declines import Declines, card_fingerprint
from payment_service.stripe_api.gateway import StripeDeclined
from payment_service.stripe_api.objects import id_in
from payment_service.subscriptions import slots
from payment_service.subscriptions.creation_state import Declined, payer_of
from payment_service.subscriptions.store import to_created

if TYPE_CHECKING:
    from payment_service.customers.service import Customers
    from payment_service.errors import PaymentsError
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.subscriptions.creation_state import Creation
    from payment_service.subscriptions.placement import Placement
    from payment_service.subscriptions.recorder import Recorder

log = structlog.get_logger("payments")


class CreationOutcomes:
    """Records them, and counts them."""

    def __init__(
        self, recorder: Recorder, steps: Steps, *, customers: Customers, placement: Placement, declines: Declines
    ) -> None:
        self._customers = customers
        self._recorder = recorder
        self._placement = placement
        self._steps = steps
        self._declines = declines

    async def refuse_as_live(self, operation: Creation, obj: JsonObject) -> None:
        """Answer that the customer has a live subscription to the product."""

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record_for(step, current, seen=seen, cause=operation.id)
                step.response = refusal(slots.exists(row), operation)
            PAYMENT_ATTEMPTS.labels("duplicate").inc()

        await self._recorder.until_current(obj, write)

    async def decline(self, operation: Creation, obj: JsonObject, error: PaymentsError) -> None:
        """Commit that the card was declined; cancelling the incomplete subscription is a phase of its own."""

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                step.state.stripe_subscription_id, step.state.declined = id_in(obj), _declined(error)
                step.state.phase = "declined"
                await self._recorder.record_for(step, current, seen=seen, cause=operation.id)

        await self._recorder.until_current(obj, write)
        await self._declines.count(payer_of(operation), operation.state.card)

    async def end_declined(self, operation: Creation, obj: JsonObject) -> None:
        """Answer a creation whose payment was declined; `obj` has been cancelled."""
        declined = operation.state.declined
        assert declined is not None
        error = PaymentDeclined(declined.detail, stripe_code=declined.stripe_code, decline_code=declined.decline_code)

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._recorder.record_for(step, current, seen=seen, cause=operation.id)
                step.response = refusal(error, operation)

        await self._recorder.until_current(obj, write)
        PAYMENT_ATTEMPTS.labels("declined").inc()
        log.info("payment_declined", operation=operation.id, decline_code=declined.decline_code)

    async def replace(self, operation: Creation, obj: JsonObject) -> None:
        """Record that the former one has ended and reserve the slot for the new one.

        When another request was faster the operation ends: tried again later, it could charge when nobody waits for it.
        """

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                step.state.holder, step.state.phase = None, "place_ready"
                await self._recorder.record_for(step, current, seen=seen, cause=operation.id)
                if not await self._placement.reserve(step.connection, operation, step.state):
                    error = SubscriptionInProgress("Another request took the slot of this customer and product")
                    step.response = refusal(error, operation)

        await self._recorder.until_current(obj, write)

    async def attach_after_all(self, operation: Creation) -> None:
        """Let the payment method be attached which Stripe denies that the customer has; nothing was charged.

        Outgoing keys change with `tries`: under the former ones Stripe may have saved that.
        """
        async with self._steps.take(operation) as step:
            step.state.payment_method = step.state.card = None
            step.state.attach, step.state.phase = True, "customer_ready"
            step.state.tries += 1

    async def succeed(self, operation: Creation, obj: JsonObject, *, status: int) -> None:
        """Answer with the subscription."""

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record_for(step, current, seen=seen, cause=operation.id)
                view = to_created(row, current, customer_id=operation.state.customer_id)
                step.response = StoredResponse.of(status, view)
            PAYMENT_ATTEMPTS.labels("requires_action" if view.status == "incomplete" else "succeeded").inc()
            log.info("subscription_created", operation=operation.id, subscription=view.id, status=view.status)

        await self._recorder.until_current(obj, write)

    async def refuse(self, operation: Creation, error: PaymentsError) -> None:
        """End the operation with Stripe's refusal; the reserved slot is given back.

        A customer that it made and Stripe did not goes too: a later request makes one of its own.
        """
        async with self._steps.take(operation) as step:
            if step.state.phase == "started" and step.state.new_customer:
                await self._customers.remove_refused(step.connection, step.state.customer_id, cause=operation.id)
            if reserved := step.state.subscription_id:
                await slots.release(step.connection, reserved)
            step.response = refusal(error, operation)
        PAYMENT_ATTEMPTS.labels("declined" if isinstance(error, StripeDeclined) else "refused").inc()
        if isinstance(error, StripeDeclined):
            await self._declines.count(payer_of(operation), card_fingerprint(error.payment_method))


def _declined(error: PaymentsError) -> Declined:
    return Declined(
        detail=error.detail,
        stripe_code=error.extra.get("stripe_code"),
        decline_code=error.extra.get("decline_code"),
    )
