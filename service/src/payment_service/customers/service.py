"""Customers: found by id, reference or address, or created here and at Stripe."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.customers import store
from payment_service.errors import CustomerExists, NotFound, PaymentDeclined, PaymentsError, Unprocessable
from payment_service.idempotency.schemas import STRIPE_KEY_SECONDS, IdempotencyKey, Operation, StoredResponse
from payment_service.idempotency.service import Operations, refusal
from payment_service.platform import stripe_calls
from payment_service.platform.mirroring import NeedsFetch, Seen
from payment_service.platform.stripe_gateway import StripeRejected

if TYPE_CHECKING:
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.customers.schemas import CreateCustomer, CustomerView
    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.platform.stripe_gateway import StripeGateway

KIND: Final = "create_customer"
CLOCK_SKEW_SECONDS: Final = 300
"""How far Stripe's clock may be behind ours."""


class Customers:
    """Customers of one Stripe account and mode."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._livemode = livemode

    async def get(self, customer_id: str) -> CustomerView:
        """Return a customer by our id or Stripe's.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read(may_lag=True) as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        if row is None:
            raise NotFound(f"There is no customer {customer_id}")
        return store.to_view(row)

    async def require(self, customer_id: str) -> str:
        """Return our id of a customer given by our id or Stripe's; one made elsewhere is taken over from Stripe.

        Raises:
            Unprocessable: there is none; names the field.
        """
        async with self._database.read() as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        if row is not None:
            return str(row.id)
        if not customer_id.startswith("cus_"):
            raise _unknown_customer()
        try:
            obj = await stripe_calls.retrieve_customer(self._gateway, customer_id)
        except StripeRejected as error:
            raise _unknown_customer() from error
        if obj.get("deleted"):
            raise _unknown_customer()
        with contextlib.suppress(NeedsFetch):
            async with self._database.transaction() as connection:
                now = self._clock.now()
                await store.apply_stripe_customer(
                    connection, obj, as_of=int(obj["created"]), seen=Seen(None), cause="fetch", now=now
                )
        async with self._database.read() as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        assert row is not None
        return str(row.id)

    async def find_or_insert(
        self,
        connection: AsyncConnection,
        *,
        reference: str | None,
        email: str | None,
        name: str | None,
        cause: str,
    ) -> Row[Any]:
        """Return the row of the customer with this reference or address, made if there is none yet."""
        by = {"reference": reference} if reference is not None else {"email": email}
        row = await store.find(connection, livemode=self._livemode, **by)
        if row is not None:
            return row
        made = await store.insert_customer(
            connection,
            livemode=self._livemode,
            email=email,
            name=name,
            reference=reference,
            metadata={},
            unique_email=reference is None,
            cause=cause,
            now=self._clock.now(),
        )
        row = made or await store.find(connection, livemode=self._livemode, **by)
        assert row is not None
        return row

    async def create_at_stripe(self, customer_id: str, *, tries: int) -> str:
        """Create Stripe's customer for ours, or find the one that an earlier try created, and return Stripe's id.

        The idempotency key is made of our customer's id, so operations that run side by side make one customer.
        `tries` counts the keys that Stripe only answers with a saved fault.
        """
        async with self._database.read() as connection:
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        if row is None:
            raise NotFound(f"There is no customer {customer_id}")
        if row.stripe_customer_id is not None:
            return str(row.stripe_customer_id)
        if tries or (self._clock.now() - row.created_at).total_seconds() > STRIPE_KEY_SECONDS:
            found = await self._find_at_stripe(row)
            if found is not None:
                return found
        metadata = dict(row._mapping["metadata"]) | {"lean_payments_customer": row.id}  # noqa: SLF001 - see to_view
        if row.reference is not None:
            metadata["lean_payments_reference"] = row.reference
        obj = await stripe_calls.create_customer(
            self._gateway,
            key=f"{row.id}-create" + (f"-{tries}" if tries else ""),
            email=row.email,
            name=row.name,
            metadata=metadata,
        )
        return str(obj["id"])

    async def _find_at_stripe(self, row: Row[Any]) -> str | None:
        """Return the id of the customer that was made for ours: Stripe's search lags, its lists do not."""
        since = int(row.created_at.timestamp()) - CLOCK_SKEW_SECONDS
        async for obj in stripe_calls.customers_since(self._gateway, since, email=row.email):
            if (obj.get("metadata") or {}).get("lean_payments_customer") == row.id:
                return str(obj["id"])
        return None

    async def stripe_id(self, connection: AsyncConnection, customer_id: str) -> str | None:
        """Return Stripe's id of our customer."""
        row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
        return None if row is None else row.stripe_customer_id

    async def record_stripe_id(self, connection: AsyncConnection, customer_id: str, *, stripe_id: str) -> None:
        """Record the customer that Stripe made for ours."""
        await store.set_stripe_id(connection, customer_id, stripe_id=stripe_id, now=self._clock.now())


class CustomerCreation:
    """Drives the operation `create_customer`."""

    def __init__(self, customers: Customers, database: Database, *, clock: Clock, livemode: bool) -> None:
        self._customers = customers
        self._database = database
        self._clock = clock
        self._livemode = livemode
        self.operations: Operations | None = None

    async def run(
        self, request: CreateCustomer, *, principal: str, request_id: str | None, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Create a customer; when another one has the reference, the answer is `customer_exists`."""
        assert self.operations is not None

        async def prepare(connection: AsyncConnection, operation: Operation) -> None:
            made = await store.insert_customer(
                connection,
                livemode=self._livemode,
                email=request.email,
                name=request.name,
                reference=request.reference,
                metadata=request.metadata,
                unique_email=False,
                cause=operation.id,
                now=self._clock.now(),
            )
            if made is None:
                detail = f"Another customer has the reference {request.reference}"
                operation.response = refusal(CustomerExists(detail), operation)
                operation.phase = "finished"
                return
            operation.facts = {"customer_id": made.id}

        return await self.operations.run(
            KIND,
            principal=principal,
            livemode=self._livemode,
            request=msgspec.to_builtins(request),
            request_id=request_id,
            key=key,
            prepare=prepare,
        )

    async def handle(self, operation: Operation) -> None:
        """Drive the operation: create Stripe's customer, record it, answer."""
        assert self.operations is not None
        customer_id = operation.facts["customer_id"]
        try:
            tries = operation.facts.get("tries", 0)
            stripe_id = await self._customers.create_at_stripe(customer_id, tries=tries)
        except (StripeRejected, PaymentDeclined) as error:
            await self._refuse(operation, error)
            return
        async with self.operations.finish(operation) as connection:
            await store.set_stripe_id(connection, customer_id, stripe_id=stripe_id, now=self._clock.now())
            row = await store.find(connection, livemode=self._livemode, customer_id=customer_id)
            assert row is not None
            operation.response = StoredResponse.of(201, store.to_view(row))

    async def _refuse(self, operation: Operation, error: PaymentsError) -> None:
        assert self.operations is not None
        async with self.operations.finish(operation) as connection:
            await store.remove(connection, operation.facts["customer_id"])
            operation.response = refusal(error, operation)


def _unknown_customer() -> Unprocessable:
    message = "there is no such customer"
    return Unprocessable(f"customer_id: {message}", errors=[{"field": "customer_id", "message": message}])
