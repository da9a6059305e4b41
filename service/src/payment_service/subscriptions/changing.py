"""Previews and changes of subscriptions: what the routes call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.catalog.store import PriceName
from payment_service.errors import NotFound, PaymentsError, Unprocessable
from payment_service.operations.schemas import Begun
from payment_service.operations.service import refusal
from payment_service.storage.mirror import moment
from payment_service.stripe_api import calls
from payment_service.subscriptions import change, change_slot, obstacles, order, pricing, store, update
from payment_service.subscriptions.change_schemas import CancellationPreview, SubscriptionPreview
from payment_service.subscriptions.wanted import Wanted, terms_at

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.catalog.service import Catalog
    from payment_service.clock import Clock
    from payment_service.operations.requests import Caller
    from payment_service.operations.schemas import Asked, IdempotencyKey, StoredResponse
    from payment_service.operations.service import Operations
    from payment_service.payments.limits import CreationLimits
    from payment_service.storage.database import Database
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.stripe_api.change_calls import ChangeTerms
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.reads import Asker, StripeReads
    from payment_service.subscriptions.change_schemas import ChangeSubscription, PreviewChange
    from payment_service.subscriptions.creation_preview import CreationPreviews
    from payment_service.subscriptions.pricing import Seals
    from payment_service.subscriptions.schemas import CancelSubscription

EXPIRED: Final = "The preview has expired: preview the change again"


class SubscriptionChanges:
    """Changes of subscriptions of one Stripe account and mode."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        operations: Operations,
        catalog: Catalog,
        creations: CreationPreviews,
        reads: StripeReads,
        limits: CreationLimits,
        seals: Seals,
        clock: Clock,
        livemode: bool,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._operations = operations
        self._catalog = catalog
        self._reads = reads
        self._limits = limits
        self._seals = seals
        self._clock = clock
        self._livemode = livemode
        self.creations: Final = creations

    async def preview(self, subscription_id: str, request: PreviewChange, *, asker: Asker) -> SubscriptionPreview:
        """Return what a change would come to; nothing is changed.

        Raises:
            NotFound: there is no such subscription.
            Unprocessable: no such price, or a quantity of a metered one.
            Conflict: the subscription cannot be changed so.
            TooManyRequests: see `StripeReads`.
        """
        row = await self._row(subscription_id)
        raise_if(obstacles.to_change(row) or obstacles.to_trial(row.status, trial_end=request.trial_end))
        now = int(self._clock.timestamp())
        wanted, product = await self._wanted(row, request, asker=asker, at=now)
        await self._refuse_second(row, product, request)
        terms = await self._terms(wanted, asker=asker)
        question = ("preview", *(str(part) for part in terms))
        quote = await self._reads.look_up(asker, question, partial(pricing.preview, self._gateway, terms))
        after = partial(pricing.preview_next, self._gateway, terms, quote)
        following = await self._reads.look_up(asker, ("next", *question), after)
        expires = now + pricing.PREVIEW_SECONDS
        expires_at, at = moment(expires), moment(terms.at)
        assert expires_at is not None
        assert at is not None
        return SubscriptionPreview(
            fingerprint=self._seals.seal(terms, quote, expires=expires),
            expires_at=expires_at,
            subscription_id=row.id,
            price_id=terms.price,
            quantity=terms.quantity,
            proration_behavior=request.proration_behavior,
            proration_date=at,
            currency=quote.invoice.currency,
            due_now=quote.due_now,
            invoice=pricing.to_view(quote.invoice) if quote.at_once else None,
            next_invoice=None if following is None else pricing.to_view(following),
        )

    async def preview_cancellation(
        self, subscription_id: str, request: CancelSubscription, *, asker: Asker
    ) -> CancellationPreview:
        """Return what a cancellation would come to; nothing is changed.

        Raises:
            NotFound: there is no such subscription.
            Conflict: it has ended, or has no period to end with.
            TooManyRequests: see `StripeReads`.
        """
        row = await self._row(subscription_id)
        raise_if(obstacles.to_cancel(row, request))
        found: pricing.Invoice | None = None
        if request.at_period_end or request.prorate:
            question = ("cancellation", row.id, str(request.at_period_end))
            ask = partial(pricing.preview_cancellation, self._gateway, row.stripe_subscription_id or "")
            found = await self._reads.look_up(asker, question, partial(ask, at_period_end=request.at_period_end))
        view = None if found is None else pricing.to_view(found)
        ends_at = row.current_period_end if request.at_period_end else None
        return CancellationPreview(
            subscription_id=row.id,
            at_period_end=request.at_period_end,
            prorate=request.prorate,
            ends_at=ends_at or self._clock.now(),
            currency=None if found is None else found.currency,
            due_now=0 if found is None or request.at_period_end else found.amount_due,
            invoice=None if request.at_period_end else view,
            next_invoice=view if request.at_period_end else None,
        )

    async def change(
        self, subscription_id: str, request: ChangeSubscription, *, caller: Caller, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Change a subscription, or replay that.

        Raises:
            NotFound: there is no such subscription.
            Unprocessable: no such price, or a quantity of a metered one.
            PreviewOutdated: the preview was not made here.
            TooManyRequests: see `CreationLimits` and `StripeReads`.
            PaymentsError: a passing fault; the operation is completed later.
        """
        if key is not None and (earlier := await self._operations.earlier(key)) is not None:
            return earlier
        row = await self._row(subscription_id)
        if not request.costs:
            return await self._update(row, request, caller=caller, key=key)
        now = int(self._clock.timestamp())
        preview = None if request.preview is None else self._seals.open(request.preview)
        wanted, product = await self._wanted(row, request, asker=caller.asker, at=preview.at if preview else now)
        await self._limits.admit(caller, named=f"subscription {row.id}", payer=None)

        async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[change.ChangingSubscription]:
            await order.take_turn(connection, row.stripe_subscription_id, livemode=self._livemode)
            present = await store.get(connection, row.id, livemode=self._livemode)
            if present is None:
                raise _no_such(subscription_id)
            state = _state(present, wanted, preview=preview and preview.digest)
            error = obstacles.to_change(present) or obstacles.to_trial(present.status, trial_end=request.trial_end)
            if error is None and preview is not None and preview.expires < now:
                error = pricing.PreviewOutdated(EXPIRED)
            if error is None and product is not None and not request.allow_multiple:
                taking = change_slot.Taking(wanted, product, now=self._clock.now())
                state.slot, error = await change_slot.take(connection, asked, present, taking)
            if error is not None:
                state.phase = "finished"
                return Begun(state, refusal(error, asked))
            return Begun(state)

        return await self._operations.run(
            change.KIND,
            principal=caller.principal,
            livemode=self._livemode,
            request={"subscription_id": subscription_id, **msgspec.to_builtins(request)},
            request_id=caller.request_id,
            key=key,
            prepare=prepare,
        )

    async def _update(
        self, row: SubscriptionRow, request: ChangeSubscription, *, caller: Caller, key: IdempotencyKey | None
    ) -> StoredResponse:
        """Change what costs nothing; raises as `change`."""
        await self._limits.admit(caller, named=f"subscription {row.id}", payer=None)

        async def prepare(connection: AsyncConnection, asked: Asked) -> Begun[update.UpdatingSubscription]:
            await order.take_turn(connection, row.stripe_subscription_id, livemode=self._livemode)
            present = await store.get(connection, row.id, livemode=self._livemode)
            if present is None:
                raise _no_such(row.id)
            state = update.UpdatingSubscription(
                customer_id=present.customer_id,
                stripe_subscription_id=present.stripe_subscription_id or "",
            )
            error = obstacles.to_update(present, request)
            if error is not None:
                state.phase = "finished"
                return Begun(state, refusal(error, asked))
            return Begun(state)

        return await self._operations.run(
            update.KIND,
            principal=caller.principal,
            livemode=self._livemode,
            request={"subscription_id": row.id, **msgspec.to_builtins(request)},
            request_id=caller.request_id,
            key=key,
            prepare=prepare,
        )

    async def _row(self, subscription_id: str) -> SubscriptionRow:
        async with self._database.read() as connection:
            row = await store.get(connection, subscription_id, livemode=self._livemode)
        if row is None or row.stripe_subscription_id is None:
            raise _no_such(subscription_id)
        return row

    async def _terms(self, wanted: Wanted, *, asker: Asker) -> ChangeTerms:
        """Return the change of the subscription as Stripe shows it now.

        Raises:
            Unprocessable: a quantity of a metered price.
            Conflict: the subscription cannot be changed so.
        """
        ask = partial(calls.retrieve_subscription, self._gateway, wanted.subscription)
        terms = terms_at(await self._reads.look_up(asker, ("subscription", wanted.subscription), ask), wanted)
        if isinstance(terms, PaymentsError):
            raise terms
        return terms

    async def _wanted(
        self, row: SubscriptionRow, request: PreviewChange, *, asker: Asker, at: int
    ) -> tuple[Wanted, str | None]:
        """Return the change as it is asked for, and the product of the price that it names.

        Raises:
            Unprocessable: no such price, or a quantity of a metered one.
        """
        price: str | None = None
        product: str | None = None
        metered = False
        if request.price_id is not None or request.lookup_key is not None:
            found = await self._catalog.resolve(PriceName.of(request.price_id, request.lookup_key), asker=asker)
            price, product, metered = found.id, found.product_id, found.metered
            raise_if(obstacles.to_quantity(request.quantity, metered=metered))
        trial_end = request.trial_ends()
        if isinstance(trial_end, int) and trial_end <= int(self._clock.timestamp()):
            raise _takes("trial_end", "a moment to come, or now")
        return Wanted(
            subscription=row.stripe_subscription_id or "",
            price=price,
            metered=metered,
            quantity=request.quantity,
            trial_end=trial_end,
            behavior=request.proration_behavior,
            at=at,
        ), product

    async def _refuse_second(self, row: SubscriptionRow, product: str | None, request: PreviewChange) -> None:
        """Refuse what would be the customer's second live subscription to a product, as far as is known here."""
        if product is not None and not request.allow_multiple:
            async with self._database.read() as connection:
                raise_if(await change_slot.obstacle(connection, row, product=product))


def _state(row: SubscriptionRow, wanted: Wanted, *, preview: str | None) -> change.ChangingSubscription:
    return change.ChangingSubscription(
        customer_id=row.customer_id,
        stripe_subscription_id=wanted.subscription,
        price_id=wanted.price,
        metered=wanted.metered,
        quantity=wanted.quantity,
        trial_end=wanted.trial_end,
        proration_behavior=wanted.behavior,
        proration_date=wanted.at,
        preview=preview,
    )


def raise_if(error: PaymentsError | None) -> None:
    """Raise an error if there is one."""
    if error is not None:
        raise error


def _no_such(subscription_id: str) -> NotFound:
    return NotFound(f"There is no subscription {subscription_id}")


def _takes(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"field": field, "message": message}])
