"""Creates a customer here and at Stripe: the operation `create_customer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from payment_service.customers import store
from payment_service.errors import CustomerExists, PaymentDeclined, PaymentsError
from payment_service.operations.schemas import Asked, Begun, IdempotencyKey, Operation, StoredResponse
from payment_service.operations.service import Operations, refusal
from payment_service.operations.state import Kind, State
from payment_service.stripe_api.gateway import StripeRejected

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.customers.schemas import CreateCustomer
    from payment_service.customers.service import Customers
    from payment_service.operations.steps import Steps


class CreatingCustomer(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "finished"] = "started"
    customer_id: str | None = None
    """Our id; of a refused request, that of the customer who has the reference, if it is still there."""

    @property
    def customer(self) -> str:
        """Our id of the customer that is made."""
        assert self.customer_id is not None
        return self.customer_id

    def __post_init__(self) -> None:
        """Check what a phase needs."""
        if self.phase == "started" and self.customer_id is None:
            raise ValueError("customer_id is missing")


KIND: Final = Kind("create_customer", CreatingCustomer)


class CustomerCreation:
    """Begins the operation."""

    def __init__(self, operations: Operations, *, clock: Clock, livemode: bool) -> None:
        self._operations = operations
        self._clock = clock
        self._livemode = livemode

    async def run(
        self, request: CreateCustomer, *, principal: str, request_id: str | None, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Create a customer; when another one has the reference, the answer is `customer_exists`."""

        async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[CreatingCustomer]:
            wanted = store.NewCustomer(
                livemode=self._livemode,
                email=request.email,
                name=request.name,
                reference=request.reference,
                metadata=request.metadata,
            )
            made = await store.insert_customer(
                connection, wanted, operation_reference=asked.reference, cause=asked.id, now=self._clock.now()
            )
            if made is not None:
                return Begun(CreatingCustomer(customer_id=made.id))
            holder = await store.find(connection, livemode=self._livemode, reference=request.reference)
            holder_id = None if holder is None else holder.id
            refused = CustomerExists(f"The customer {holder_id} has this reference", customer_id=holder_id)
            return Begun(CreatingCustomer(phase="finished", customer_id=holder_id), refusal(refused, asked))

        return await self._operations.run(
            KIND,
            principal=principal,
            livemode=self._livemode,
            request=msgspec.to_builtins(request),
            request_id=request_id,
            key=key,
            prepare=prepare,
        )


class CustomerCreationStep:
    """Drives the operation."""

    def __init__(self, customers: Customers, steps: Steps, *, clock: Clock, livemode: bool) -> None:
        self._customers = customers
        self._steps = steps
        self._clock = clock
        self._livemode = livemode

    async def handle(self, operation: Operation[CreatingCustomer]) -> None:
        """Create Stripe's customer, record it, answer: there is one phase alone."""
        customer_id = operation.state.customer
        try:
            made = await self._customers.create_at_stripe(customer_id, tries=operation.state.tries)
        except (StripeRejected, PaymentDeclined) as error:
            await self._refuse(operation, error)
            return
        async with self._steps.take(operation) as step:
            await self._customers.record_stripe_id(step.connection, customer_id, stripe_id=made.stripe_id)
            row = await store.find(step.connection, livemode=self._livemode, customer_id=customer_id)
            assert row is not None
            step.response = StoredResponse.of(201, store.to_view(row))

    async def _refuse(self, operation: Operation[CreatingCustomer], error: PaymentsError) -> None:
        async with self._steps.take(operation) as step:
            gone = step.state.customer
            await store.remove(step.connection, gone, cause=operation.id, now=self._clock.now())
            step.response = refusal(error, operation)
