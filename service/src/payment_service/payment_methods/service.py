"""Payment methods and setup intents: what the routes call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from payment_service.errors import Conflict, NotFound
from payment_service.http.paging import read_listed
from payment_service.operations import turns
from payment_service.operations.schemas import Begun
from payment_service.operations.service import refusal
from payment_service.payment_methods import changes, setup_intents, store
from payment_service.payment_methods.changes import ChangingPaymentMethod, detached
from payment_service.payment_methods.listing import no_such
from payment_service.payment_methods.schemas import (
    CreateSetupIntent,
    PaymentMethodList,
    PaymentMethodView,
    SetupIntentView,
)
from payment_service.payment_methods.setup_intents import CreatingSetupIntent
from payment_service.payments.declines import Payer
from payment_service.payments.limits import naming

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.http.paging import Page
    from payment_service.operations.requests import Caller
    from payment_service.operations.schemas import Asked, IdempotencyKey, StoredResponse
    from payment_service.operations.service import Operations
    from payment_service.operations.state import Kind
    from payment_service.payment_methods.listing import Listing
    from payment_service.payments.limits import CreationLimits
    from payment_service.storage.database import Database
    from payment_service.stripe_api.reads import Asker


class PaymentMethods:
    """Payment methods of one Stripe account and mode."""

    def __init__(
        self,
        database: Database,
        *,
        operations: Operations,
        listing: Listing,
        limits: CreationLimits,
        livemode: bool,
    ) -> None:
        self._database = database
        self._operations = operations
        self._listing = listing
        self._limits = limits
        self._livemode = livemode

    async def create_setup_intent(
        self, request: CreateSetupIntent, *, caller: Caller, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Begin to save a payment method, or replay that.

        Raises:
            BadRequest: what the caller passed on as the end user's address is none.
            Unprocessable: there is no such customer.
            Conflict: another request is making it at Stripe; soon that is done.
            TooManyRequests: see `CreationLimits` and `StripeReads`.
            PaymentsError: a passing fault; the operation is completed later.
        """
        end_user = self._limits.end_user(caller)
        if key is not None and (earlier := await self._operations.earlier(key)) is not None:
            return earlier
        customer = await self._listing.find_customer(
            request.customer_id, request.customer_reference, asker=caller.asker
        )
        stripe_id = customer.stripe_customer_id
        if stripe_id is None:
            raise Conflict("Another request is making this customer at Stripe; try again", retry_after=1)
        payer = Payer(caller.principal, None, end_user)
        await self._limits.admit(caller, named=naming(customer_id=customer.id), payer=payer)
        state = CreatingSetupIntent(customer_id=customer.id, stripe_customer_id=stripe_id, end_user=end_user)

        async def prepare(_: AsyncConnection, __: Asked) -> Begun[CreatingSetupIntent]:
            return Begun(state)

        return await self._operations.run(
            setup_intents.KIND,
            principal=caller.principal,
            livemode=self._livemode,
            request=msgspec.to_builtins(request),
            request_id=caller.request_id,
            key=key,
            prepare=prepare,
        )

    async def get_setup_intent(self, setup_intent_id: str) -> SetupIntentView:
        """Return a setup intent.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read(may_lag=True) as connection:
            row = await store.get_setup_intent(connection, setup_intent_id, livemode=self._livemode)
        if row is None:
            raise NotFound(f"There is no setup intent {setup_intent_id}")
        return store.to_setup_intent_view(row)

    async def list(
        self, *, page: Page, asker: Asker, customer_id: str | None, customer_reference: str | None, kind: str | None
    ) -> PaymentMethodList:
        """Return a page of what customers have, newest first; the whole of a customer who is named.

        Raises:
            Unprocessable: there is no such customer, or the page is to begin at no payment method.
            TooManyRequests: see `StripeReads`.
        """
        ours: str | None = None
        brought = False
        if customer_id is not None or customer_reference is not None:
            customer = await self._listing.find_customer(customer_id, customer_reference, asker=asker)
            ours, brought = customer.id, await self._listing.complete(customer, asker=asker)

        async def read(connection: AsyncConnection) -> PaymentMethodList:
            rows, more = await store.list_page(
                connection, livemode=self._livemode, page=page, customer_id=ours, kind=kind
            )
            return PaymentMethodList(data=[store.to_view(row) for row in rows], has_more=more)

        if not brought:
            return await read_listed(self._database, read)
        async with self._database.read() as connection:  # the replica may not have it yet
            return await read(connection)

    async def get(self, method_id: str, *, asker: Asker) -> PaymentMethodView:
        """Return a payment method; one that is not here yet is taken over from Stripe.

        Raises:
            NotFound: no customer has it, or had it.
            TooManyRequests: see `StripeReads`.
        """
        return store.to_view(await self._listing.find(method_id, asker=asker))

    async def detach(self, method_id: str, *, caller: Caller, key: IdempotencyKey | None) -> StoredResponse:
        """Detach a payment method for good; raises as `_change`."""
        return await self._change(changes.DETACH, method_id, caller=caller, key=key)

    async def set_default(self, method_id: str, *, caller: Caller, key: IdempotencyKey | None) -> StoredResponse:
        """Let the invoices of its customer be paid with it; raises as `_change`."""
        return await self._change(changes.SET_DEFAULT, method_id, caller=caller, key=key)

    async def _change(
        self, kind: Kind[ChangingPaymentMethod], method_id: str, *, caller: Caller, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Begin a change, or replay it; a detached one is answered with a conflict.

        Raises:
            NotFound: no customer has it, or had it.
            TooManyRequests: see `StripeReads`.
            PaymentsError: a passing fault; the operation is completed later.
        """
        if key is not None and (earlier := await self._operations.earlier(key)) is not None:
            return earlier
        await self._listing.find(method_id, asker=caller.asker)

        async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[ChangingPaymentMethod]:
            row = await store.get(connection, method_id, livemode=self._livemode)
            if row is None:
                raise no_such(method_id)
            state = ChangingPaymentMethod(
                payment_method_id=method_id,
                customer_id=row.customer_id,
                stripe_customer_id=row.stripe_customer_id,
            )
            if row.detached:
                state.phase = "finished"
                return Begun(state, refusal(detached(), asked))
            if kind is changes.SET_DEFAULT and row.stripe_customer_id is not None:
                await turns.take(connection, changes.TURNS, stripe_id=row.stripe_customer_id, livemode=self._livemode)
            return Begun(state)

        return await self._operations.run(
            kind,
            principal=caller.principal,
            livemode=self._livemode,
            request={"payment_method_id": method_id},
            request_id=caller.request_id,
            key=key,
            prepare=prepare,
        )
