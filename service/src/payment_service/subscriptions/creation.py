"""Drives the operation `create_subscription`.

```
started → [customer_ready →] payment_method_attached → [place_ready →] finished
                ↑                                    ├→ declined → finished
                └────────────────────────────────────┘ Stripe denies that the customer has it
```
Each arrow is one short transaction; the calls to Stripe lie between them. The row with the status `creating` holds the
slot of customer and product from the first transaction on (see `slots`). An incomplete subscription in that slot is
resumed when it is for the same price and quantity, else cancelled and replaced.

The operation that makes a customer sends the payment method along (`method_goes_along`): Stripe creates and attaches in
one call. When the bank refuses it there is no customer, neither at Stripe nor here. Whoever finds the row meanwhile
makes the same customer without one: the key at Stripe, made of the row's id, lets the first call alone act, and the
later one finds what it made (`Customers.create_at_stripe`); where that was refused, the row is gone and another one is
chosen or made.

A card whose row here says that the customer has it is not attached again. That row is as fresh as the events: a card
detached a moment ago, or while events were lost, is refused by Stripe when the subscription is created, before
anything is charged. Then it is attached after all (`attach`), which Stripe refuses too unless the customer may have it.

An operation of an earlier version lacks both facts and is completed as it was begun, under the same keys with the same
parameters. An earlier version reads neither, so it leaves an operation alone (`operation_unreadable`) that holds one:
before its customer is made, and in the rare case of `attach`. From then on both versions go on with both's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import structlog

from payment_service.errors import (
    Conflict,
    NotFound,
    PaymentMethodRequired,
    PaymentsError,
    TooManyDeclines,
    Unprocessable,
)
from payment_service.mirror.subscription import TERMINAL
from payment_service.payment_methods import store as payment_methods
from payment_service.payments.declines import Declines, card_fingerprint
from payment_service.storage.tables import LIVE_STATUSES
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.stripe_api.objects import id_in
from payment_service.subscriptions.answers import answer_of
from payment_service.subscriptions.creation_state import (
    payer_of,
    request_of,
    terms_of,
)
from payment_service.subscriptions.gone import is_of_customer, is_of_method, name_field
from payment_service.subscriptions.placement import charge_nothing_unnamed
from payment_service.subscriptions.stripe_lookup import declined_reason, find_by_operation, find_other_live

if TYPE_CHECKING:
    from payment_service.catalog.stripe_prices import StripePrices
    from payment_service.customers.service import Customers
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Steps
    from payment_service.storage.database import Database
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.creation_outcomes import CreationOutcomes
    from payment_service.subscriptions.creation_state import Creation
    from payment_service.subscriptions.gone import Restart

REQUIRES_ACTION: Final = "invoice_payment_intent_requires_action"

log = structlog.get_logger("payments")


class SubscriptionCreation:
    """The steps from a request to a subscription at Stripe and its row here."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        customers: Customers,
        *,
        outcomes: CreationOutcomes,
        restart: Restart,
        declines: Declines,
        stripe_prices: StripePrices,
        steps: Steps,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._outcomes = outcomes
        self._restart = restart
        self._declines = declines
        self._stripe_prices = stripe_prices
        self._customers = customers
        self._steps = steps

    async def handle(self, operation: Creation) -> None:
        """Take the next step; what Stripe refuses for good ends the operation with that answer."""
        try:
            await self._go_on(operation)
        except (StripeDeclined, TooManyDeclines, PaymentMethodRequired) as error:
            await self._outcomes.refuse(operation, error)
        except StripeRejected as error:
            await self._refuse_or_begin_again(operation, error)

    async def _go_on(self, operation: Creation) -> None:
        match operation.state.phase:
            case "started":
                await self._make_customer(operation)
            case "customer_ready":
                await self._attach_payment_method(operation)
            case "payment_method_attached":
                await self._take_slot(operation)
            case "place_ready":
                await self._create(operation)
            case "declined":
                await self._cancel_declined(operation)
            case "finished":
                raise AssertionError("an operation with its answer is driven no further")
            case unknown:
                assert_never(unknown)

    async def _refuse_or_begin_again(self, operation: Creation, error: StripeRejected) -> None:
        """End the operation with Stripe's refusal, unless something else than what was tried will do.

        That is another customer where this one is gone, and attaching where a payment method was taken for attached.
        """
        if is_of_method(error) and operation.state.phase == "place_ready" and not operation.state.attach:
            await self._outcomes.attach_after_all(operation)
            return
        refused: PaymentsError = error
        if is_of_customer(error) and operation.state.stripe_customer_id is not None:
            try:
                if await self._restart.begin_again(operation):
                    return
            except (StripeRejected, Conflict, Unprocessable) as final:
                refused = final
        await name_field(error, operation, self._stripe_prices)
        await self._outcomes.refuse(operation, refused)

    async def _make_customer(self, operation: Creation) -> None:
        customer_id, state = operation.state.customer_id, operation.state
        method = request_of(operation).payment_method_id if state.method_goes_along else None
        try:
            made = await self._customers.create_at_stripe(customer_id, tries=state.tries, payment_method=method)
        except NotFound:  # it was of another operation, whose card the bank refused
            await self._choose_again(operation)
            return
        refused = None if made.method is None else await self._refusal_of(operation, made.method)
        async with self._steps.take(operation) as step:
            step.state.stripe_customer_id, step.state.phase = made.stripe_id, "customer_ready"
            step.state.method_goes_along = False
            if made.method is not None and refused is None:
                step.state.payment_method, step.state.card = id_in(made.method), card_fingerprint(made.method)
                step.state.phase = "payment_method_attached"
            await self._customers.record_stripe_id(step.connection, customer_id, stripe_id=made.stripe_id)
        if refused is not None:
            raise refused

    async def _refusal_of(self, operation: Creation, method: JsonObject) -> TooManyDeclines | None:
        try:
            await self._declines.admit_card(payer_of(operation), card_fingerprint(method))
        except TooManyDeclines as error:
            return error
        return None

    async def _choose_again(self, operation: Creation) -> None:
        try:
            await self._restart.choose_again(operation)
        except (Conflict, Unprocessable) as error:
            await self._outcomes.refuse(operation, error)

    async def _attach_payment_method(self, operation: Creation) -> None:
        """Attach what the request names, unless the customer has it already as far as is known here."""
        method = request_of(operation).payment_method_id
        if method is None:
            await charge_nothing_unnamed(self._gateway, operation)
            operation.state.phase = "payment_method_attached"
            return
        card = await self._known_card(operation, method)
        if card is None:
            key, customer = operation.stripe_key("attach"), operation.state.customer
            attached = await calls.attach_payment_method(self._gateway, method, key=key, customer=customer)
            method, card = id_in(attached), card_fingerprint(attached)
        await self._declines.admit_card(payer_of(operation), card)
        async with self._steps.take(operation) as step:
            step.state.payment_method, step.state.card = method, card
            step.state.phase = "payment_method_attached"

    async def _known_card(self, operation: Creation, method: str) -> str | None:
        """Return the fingerprint of a card that need not be attached.

        What an incomplete subscription is paid with is attached in any case: paying its invoice with what was detached
        is refused in no other way than where it is not open any more.
        """
        state = operation.state
        if state.attach or state.holder is not None:
            return None
        async with self._database.read() as connection:
            return await payment_methods.card_of(
                connection, method, stripe_customer_id=state.customer, livemode=operation.livemode
            )

    async def _take_slot(self, operation: Creation) -> None:
        """Deal with an incomplete subscription that holds the slot, if there is one."""
        holder = operation.state.holder
        if holder is None:
            operation.state.phase = "place_ready"
            return
        obj = await calls.retrieve_subscription(self._gateway, holder.stripe_id)
        status = answer_of(obj).status
        if holder.ours:
            await self._outcomes.succeed(operation, obj, status=201)  # the database has lost who made it
        elif status in LIVE_STATUSES and holder.same and operation.attempts > 1:
            await self._outcomes.succeed(operation, obj, status=200)  # an earlier attempt paid it and could not say so
        elif status in LIVE_STATUSES:
            await self._outcomes.refuse_as_live(operation, obj)
        elif status == "incomplete" and holder.same:
            await self._resume(operation, obj)
        else:
            if status == "incomplete":
                obj = await self._end(operation, holder.stripe_id, call="supersede")
            await self._outcomes.replace(operation, obj)

    async def _cancel_declined(self, operation: Creation) -> None:
        stripe_id = operation.state.stripe_subscription_id
        assert stripe_id is not None
        obj = await self._end(operation, stripe_id, call="cancel-declined")
        await self._outcomes.end_declined(operation, obj)

    async def _end(self, operation: Creation, stripe_id: str, *, call: str) -> JsonObject:
        """Cancel an incomplete subscription, whoever is faster."""
        key = operation.stripe_key(call)
        try:
            return await calls.cancel_subscription(self._gateway, stripe_id, key=key, comment=operation.reference)
        except StripeRejected:
            obj = await calls.retrieve_subscription(self._gateway, stripe_id)
            if answer_of(obj).status not in TERMINAL:
                raise
            return obj

    async def _resume(self, operation: Creation, obj: JsonObject) -> None:
        """Go on with the incomplete subscription: pay its open invoice, or hand out its client secret again.

        Paying the same invoice cannot charge twice: Stripe refuses to pay a paid one.
        """
        if await self._is_second(operation):
            return
        if method := operation.state.payment_method:
            try:
                key = operation.stripe_key("pay")
                await calls.pay_invoice(self._gateway, answer_of(obj).invoice_id, key=key, payment_method=method)
            except StripeDeclined as error:
                if error.stripe_code != REQUIRES_ACTION:
                    await self._outcomes.decline(operation, obj, error)
                    return
            except StripeRejected:
                log.info("resumed_invoice_not_payable", operation=operation.id)
            obj = await calls.retrieve_subscription(self._gateway, id_in(obj))
        await self._outcomes.succeed(operation, obj, status=200)

    async def _is_second(self, operation: Creation) -> bool:
        """End the operation if Stripe shows another live subscription of the customer to the product.

        The mirror was asked before, but an event may be on its way, or lost. A customer made just now has none.
        """
        made_now = operation.state.new_customer and operation.attempts == 1
        if request_of(operation).allow_multiple or made_now:
            return False
        customer, product = operation.state.customer, operation.state.product_id
        other = await find_other_live(self._gateway, made_by=operation.reference, customer=customer, product=product)
        if other is None:
            return False
        await self._outcomes.refuse_as_live(operation, other)
        return True

    async def _create(self, operation: Creation) -> None:
        if await self._is_second(operation):
            return
        obj = await self._create_at_stripe(operation)
        declined = await declined_reason(self._gateway, obj) if operation.state.payment_method else None
        if declined is not None:
            await self._outcomes.decline(operation, obj, declined)
        else:
            await self._outcomes.succeed(operation, obj, status=201)

    async def _create_at_stripe(self, operation: Creation) -> JsonObject:
        """Create the subscription, or find the one that an earlier try created under a key that is of no use now."""
        if not operation.stripe_keys_hold:
            found = await find_by_operation(self._gateway, operation.reference, customer=operation.state.customer)
            if found is not None:
                return found
        key = operation.stripe_key("subscription")
        return await calls.create_subscription(self._gateway, terms_of(operation), key=key)
