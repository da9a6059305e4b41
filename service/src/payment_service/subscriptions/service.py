"""Subscriptions: what the routes call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from payment_service.errors import Conflict, NotFound, PaymentsError, SubscriptionInProgress
from payment_service.idempotency.service import Operations, refusal
from payment_service.platform.metrics import PAYMENT_ATTEMPTS, PAYMENT_SECONDS
from payment_service.subscriptions import cancellation, creation, store
from payment_service.subscriptions.schemas import (
    CancelSubscription,
    CreateSubscription,
    SubscriptionList,
    SubscriptionView,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.catalog.service import Catalog
    from payment_service.customers.service import Customers
    from payment_service.idempotency.schemas import IdempotencyKey, Operation, StoredResponse
    from payment_service.platform.database import Database


class Subscriptions:
    """Subscriptions of one Stripe account and mode."""

    def __init__(
        self,
        database: Database,
        *,
        operations: Operations,
        catalog: Catalog,
        customers: Customers,
        creating: creation.SubscriptionCreation,
        livemode: bool,
    ) -> None:
        self._database = database
        self._operations = operations
        self._catalog = catalog
        self._customers = customers
        self._creating = creating
        self._livemode = livemode

    async def create(
        self, request: CreateSubscription, *, principal: str, request_id: str | None, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Create a subscription, or replay or resume the one that the key belongs to.

        Raises:
            Unprocessable: no such price or customer.
            PaymentsError: a passing fault; the operation is completed later.
        """
        started = time.perf_counter()
        try:
            if key is not None and (earlier := await self._operations.earlier(key)) is not None:
                return earlier
            price = await self._catalog.resolve(price_id=request.price_id, lookup_key=request.lookup_key)
            known = await self._customers.require(request.customer_id) if request.customer_id else None

            async def prepare(connection: AsyncConnection, operation: Operation) -> None:
                operation.facts = {"price_id": price.id, "product_id": price.product_id}
                await self._prepare(connection, operation, request, known)

            return await self._operations.run(
                creation.KIND,
                principal=principal,
                livemode=self._livemode,
                request=msgspec.to_builtins(request),
                request_id=request_id,
                key=key,
                prepare=prepare,
            )
        except PaymentsError as error:
            PAYMENT_ATTEMPTS.labels("error" if error.status >= 500 else "refused").inc()  # noqa: PLR2004 - HTTP
            raise
        finally:
            PAYMENT_SECONDS.observe(time.perf_counter() - started)

    async def _prepare(
        self, connection: AsyncConnection, operation: Operation, request: CreateSubscription, known: str | None
    ) -> None:
        """Write the first transaction: the customer's row and the reserved place, or the refusal."""
        customer_id, stripe_customer_id = known, None
        if known is None:
            customer = await self._customers.find_or_insert(
                connection,
                reference=request.customer_reference,
                email=request.email,
                name=request.name,
                cause=operation.id,
            )
            customer_id, stripe_customer_id = customer.id, customer.stripe_customer_id
        else:
            stripe_customer_id = await self._customers.stripe_id(connection, known)
        operation.facts |= {"customer_id": customer_id}
        if stripe_customer_id is not None:
            operation.facts |= {"stripe_customer_id": stripe_customer_id}
            operation.phase = "customer_ready"
        await self._take_place(connection, operation, request)

    async def _take_place(self, connection: AsyncConnection, operation: Operation, request: CreateSubscription) -> None:
        place = {
            "livemode": self._livemode,
            "customer_id": operation.facts["customer_id"],
            "product_id": operation.facts["product_id"],
        }
        if await self._creating.reserve(connection, operation, request):
            return
        live = None if request.allow_multiple else await store.find_live(connection, **place)
        if live is not None:
            _end(operation, creation.exists(live))
            return
        holder = await store.find_holder(connection, **place)
        if holder is None or holder.stripe_subscription_id is None:
            raise SubscriptionInProgress(
                "Another request is creating a subscription of this customer to this product", retry_after=2
            )
        same = (holder.price_id, holder.quantity) == (operation.facts["price_id"], request.quantity)
        operation.facts |= {"holder": {"id": holder.id, "stripe_id": holder.stripe_subscription_id, "same": same}}

    async def get(self, subscription_id: str, *, may_lag: bool = True) -> SubscriptionView:
        """Return a subscription; with `may_lag` possibly as the replica has it.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read(may_lag=may_lag) as connection:
            row = await store.get(connection, subscription_id, livemode=self._livemode)
        if row is None or row.stripe_subscription_id is None:
            raise NotFound(f"There is no subscription {subscription_id}")
        return store.to_view(row)

    async def list(
        self, *, customer_id: str | None, status: str | None, limit: int, starting_after: str | None
    ) -> SubscriptionList:
        """Return a page, newest first."""
        async with self._database.read(may_lag=True) as connection:
            rows = await store.list_page(
                connection,
                livemode=self._livemode,
                customer_id=customer_id,
                status=status,
                limit=limit + 1,
                starting_after=starting_after,
            )
        return SubscriptionList(data=[store.to_view(row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def cancel(
        self,
        subscription_id: str,
        request: CancelSubscription,
        *,
        principal: str,
        request_id: str | None,
        key: IdempotencyKey | None,
    ) -> StoredResponse:
        """End a subscription with its period or at once.

        Raises:
            NotFound: there is none.
            PaymentsError: a passing fault; the operation is completed later.
        """
        content: dict[str, Any] = {"subscription_id": subscription_id, "at_period_end": request.at_period_end}

        async def prepare(connection: AsyncConnection, operation: Operation) -> None:
            row = await store.get(connection, subscription_id, livemode=self._livemode)
            if row is None or row.stripe_subscription_id is None:
                raise NotFound(f"There is no subscription {subscription_id}")
            if row.status in store.TERMINAL:
                _end(operation, Conflict("The subscription has ended already", subscription_status=row.status))
                return
            operation.facts = {"stripe_subscription_id": row.stripe_subscription_id}

        return await self._operations.run(
            cancellation.KIND,
            principal=principal,
            livemode=self._livemode,
            request=content,
            request_id=request_id,
            key=key,
            prepare=prepare,
        )


def _end(operation: Operation, error: PaymentsError) -> None:
    """Make `error` the operation's final answer."""
    operation.response = refusal(error, operation)
    operation.phase = "finished"
