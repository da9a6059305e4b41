"""Subscriptions: what the routes call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from payment_service.catalog.store import PriceName
from payment_service.errors import Conflict, NotFound, PaymentsError, Unprocessable
from payment_service.http.paging import read_listed
from payment_service.mirror.subscription import TERMINAL
from payment_service.observability.metrics import PAYMENT_ATTEMPTS, PAYMENT_SECONDS
from payment_service.operations.schemas import Begun
from payment_service.operations.service import refusal
from payment_service.payments.declines import Payer
from payment_service.payments.limits import naming
from payment_service.subscriptions import cancellation, creation_state, order, store
from payment_service.subscriptions.schemas import (
    CancelSubscription,
    CreateSubscription,
    SubscriptionList,
    SubscriptionView,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.catalog.service import Catalog
    from payment_service.customers.selection import Selection
    from payment_service.http.paging import Page
    from payment_service.operations.requests import Caller
    from payment_service.operations.schemas import Asked, IdempotencyKey, StoredResponse
    from payment_service.operations.service import Operations
    from payment_service.payments.limits import CreationLimits
    from payment_service.storage.database import Database
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.subscriptions.placement import Placement


class Subscriptions:
    """Subscriptions of one Stripe account and mode."""

    def __init__(
        self,
        database: Database,
        *,
        operations: Operations,
        catalog: Catalog,
        selection: Selection,
        placement: Placement,
        limits: CreationLimits,
        livemode: bool,
    ) -> None:
        self._database = database
        self._operations = operations
        self._catalog = catalog
        self._selection = selection
        self._placement = placement
        self._limits = limits
        self._livemode = livemode

    async def create(
        self, request: CreateSubscription, *, caller: Caller, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Create a subscription, or replay or resume the one that the key belongs to.

        Raises:
            Unprocessable: no such price or customer, or a quantity of a metered price.
            Conflict: see `Placement.place`.
            TooManyRequests: see `CreationLimits` and `StripeReads`.
            PaymentsError: a passing fault; the operation is completed later.
        """
        started = time.perf_counter()
        try:
            end_user = self._limits.end_user(caller)
            if key is not None and (earlier := await self._operations.earlier(key)) is not None:
                return earlier
            price = await self._catalog.resolve(PriceName.of(request.price_id, request.lookup_key), asker=caller.asker)
            if price.metered and request.quantity != 1:
                raise _takes_no_quantity()
            named = request.customer_id
            known = await self._selection.find_id(named, asker=caller.asker) if named else None
            await self._limits.admit(
                caller,
                named=naming(customer_id=known, reference=request.customer_reference, email=request.email),
                payer=_payer(request, principal=caller.principal, end_user=end_user),
            )

            address = request.address_alone
            imported = address is not None and await self._selection.refresh_address(address)

            async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[creation_state.CreatingSubscription]:
                return await self._placement.place(
                    connection, asked, price=price, customer_id=known, imported=imported, end_user=end_user
                )

            return await self._operations.run(
                creation_state.KIND,
                principal=caller.principal,
                livemode=self._livemode,
                request=msgspec.to_builtins(request),
                request_id=caller.request_id,
                key=key,
                prepare=prepare,
            )
        except PaymentsError as error:
            PAYMENT_ATTEMPTS.labels("error" if error.status >= 500 else "refused").inc()  # noqa: PLR2004 - HTTP
            raise
        finally:
            PAYMENT_SECONDS.observe(time.perf_counter() - started)

    async def get(self, subscription_id: str, *, may_lag: bool = True) -> SubscriptionView:
        """Return a subscription; with `may_lag` possibly as the replica has it.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read(may_lag=may_lag) as connection:
            return store.to_view(await self._existing(connection, subscription_id))

    async def _existing(self, connection: AsyncConnection, subscription_id: str) -> SubscriptionRow:
        row = await store.get(connection, subscription_id, livemode=self._livemode)
        if row is None or row.stripe_subscription_id is None:
            raise NotFound(f"There is no subscription {subscription_id}")
        return row

    async def list(self, *, page: Page, customer_id: str | None, **exact: str | None) -> SubscriptionList:
        """Return a page, newest first; `exact` are further columns and the values that they must have, if any.

        Raises:
            Unprocessable: the page is to begin at no subscription.
        """

        async def read(connection: AsyncConnection) -> SubscriptionList:
            rows, more = await store.list_page(
                connection, livemode=self._livemode, customer_id=customer_id, page=page, **exact
            )
            return SubscriptionList(data=[store.to_view(row) for row in rows], has_more=more)

        return await read_listed(self._database, read)

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
        content = cancellation.Cancel(subscription_id=subscription_id, at_period_end=request.at_period_end)

        async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[cancellation.CancellingSubscription]:
            row = await self._existing(connection, subscription_id)
            if request.at_period_end:  # at once it waits for nothing: what is under way then comes to nothing
                await order.take_turn(connection, row.stripe_subscription_id, livemode=self._livemode)
                row = await self._existing(connection, subscription_id)
            if row.status in TERMINAL:
                ended = Conflict("The subscription has ended already", subscription_status=row.status)
                return Begun(cancellation.CancellingSubscription(phase="finished"), refusal(ended, asked))
            stripe_id = row.stripe_subscription_id
            return Begun(cancellation.CancellingSubscription(stripe_subscription_id=stripe_id, prorate=request.prorate))

        return await self._operations.run(
            cancellation.KIND,
            principal=principal,
            livemode=self._livemode,
            request=msgspec.to_builtins(content),
            request_id=request_id,
            key=key,
            prepare=prepare,
        )


def _payer(request: CreateSubscription, *, principal: str, end_user: str | None) -> Payer | None:
    """Return whose card is charged; None without a payment method, for then nothing is charged here."""
    method = request.payment_method_id
    return None if method is None else Payer(principal, method, end_user)


def _takes_no_quantity() -> Unprocessable:
    message = "this price is metered: Stripe counts the reported usage; leave the quantity out"
    return Unprocessable(f"quantity: {message}", errors=[{"field": "quantity", "message": message}])
