"""Gives money of a payment back: the operation `create_refund`.

Stripe alone keeps the sum of refunds within what was paid, also of those that are made at the same moment. That one
request gives money back once is kept here: by the key of the call for as long as Stripe knows it, and by the
operation's mark in the refund's metadata afterwards, or where the database was restored. So what this operation made is
looked for before it is refused, and before it is sent under another key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from payment_service.errors import Conflict, Unprocessable
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State, convert
from payment_service.refunds import store
from payment_service.refunds.refusals import obstacle, worded
from payment_service.refunds.schemas import CreateRefund
from payment_service.refunds.source import find_charge, retrieve_charge
from payment_service.stripe_api import refund_calls
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.stripe_api.metadata import OPERATION
from payment_service.stripe_api.objects import id_in, id_of

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.json_types import JsonObject
    from payment_service.operations.recorder import ObjectRecorder
    from payment_service.operations.schemas import Asked
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway


class CreatingRefund(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "charge_known", "finished"] = "started"
    charge_id: str | None = None
    """Stripe's id: it is fixed before the call, which has to be the same at every try."""
    stripe_customer_id: str | None = None
    """Whose the charge is; None: nobody's."""

    def __post_init__(self) -> None:
        """Check what a phase needs."""
        if self.phase == "charge_known" and self.charge_id is None:
            raise ValueError("charge_id is missing")


KIND: Final = Kind("create_refund", CreatingRefund)
Creating = Operation[CreatingRefund]


class RefundCreation:
    """Drives the operation.

    Args:
        gateway: makes it.
        recorder: of refunds.
        steps: commits what is known, and the answer.
    """

    def __init__(self, gateway: StripeGateway, recorder: ObjectRecorder, steps: Steps) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps

    async def handle(self, operation: Creating) -> None:
        """Take the operation to its next phase."""
        if operation.state.phase == "started":
            await self._look(operation)
        else:
            await self._give_back(operation)

    async def _look(self, operation: Creating) -> None:
        """Find the charge, and refuse what it has not left unless this operation itself took that."""
        request = request_of(operation)
        try:
            charge_id, charge = await find_charge(self._gateway, request, livemode=operation.livemode)
        except (Conflict, Unprocessable) as error:
            await self._refuse(operation, error)
            return
        refused = obstacle(charge, amount=request.amount)
        if refused is None:
            async with self._steps.take(operation) as step:
                step.state.phase = "charge_known"
                step.state.charge_id, step.state.stripe_customer_id = charge_id, id_of(charge.customer)
        elif (made := await self._made(operation, charge_id)) is not None:
            await self._record(operation, made)
        else:
            await self._refuse(operation, refused)

    async def _give_back(self, operation: Creating) -> None:
        """Make the refund unless an earlier try made it, record it, answer."""
        request, charge_id = request_of(operation), operation.state.charge_id
        assert charge_id is not None
        made = None if operation.stripe_keys_hold else await self._made(operation, charge_id)
        if made is None:
            try:
                made = await refund_calls.create_refund(
                    self._gateway,
                    key=operation.stripe_key("refund"),
                    charge=charge_id,
                    amount=request.amount,
                    reason=request.reason,
                    metadata={**request.metadata, OPERATION: operation.reference},
                )
            except (StripeRejected, StripeDeclined) as error:
                made = await self._made(operation, charge_id)
                if made is None:
                    await self._refuse(operation, await self._reason(operation, charge_id, error))
                    return
        await self._record(operation, made)

    async def _made(self, operation: Creating, charge_id: str) -> JsonObject | None:
        return await refund_calls.find_refund(
            self._gateway, charge=charge_id, metadatum=(OPERATION, operation.reference)
        )

    async def _reason(
        self, operation: Creating, charge_id: str, error: StripeRejected | StripeDeclined
    ) -> PaymentsError:
        """Say why Stripe refuses, with what is left of the charge as it is now."""
        charge = await retrieve_charge(self._gateway, charge_id, field="payment_id", livemode=operation.livemode)
        return obstacle(charge, amount=request_of(operation).amount) or worded(error, charge)

    async def _record(self, operation: Creating, obj: JsonObject) -> None:
        async def write(current: JsonObject, seen: Seen | None) -> None:
            shown = {"livemode": operation.livemode, **current}  # Stripe's refunds do not say it
            async with self._steps.take(operation) as step:
                await self._recorder.write(step.connection, shown, seen=seen, cause=operation.id)
                view = await store.get(step.connection, id_in(current), livemode=operation.livemode)
                assert view is not None
                step.response = StoredResponse.of(201, view)

        await self._recorder.until_current(obj, write)

    async def _refuse(self, operation: Creating, error: PaymentsError) -> None:
        async with self._steps.take(operation) as step:
            step.response = refusal(error, operation)


def request_of(asked: Asked) -> CreateRefund:
    """Return the request as it is stored."""
    return convert(asked.request, CreateRefund)
