"""Drives the operation `create_subscription`.

```
started → customer_ready → payment_method_attached → [place_ready →] finished
                                                   └→ declined → finished
```
Each arrow is one short transaction; the calls to Stripe lie between them. The row with the status `creating` holds the
slot of customer and product from the first transaction on (see `slots`). An incomplete subscription in that slot is
resumed when it is for the same price and quantity, else cancelled and replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import structlog

from payment_service.errors import (
    Conflict,
    PaymentMethodRequired,
    PaymentsError,
    TooManyDeclines,
    Unprocessable,
)
from payment_service.mirror.subscription import TERMINAL
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
from payment_service.subscriptions.gone import is_of_customer, name_field
from payment_service.subscriptions.placement import charge_nothing_unnamed
from payment_service.subscriptions.stripe_lookup import declined_reason, find_by_operation, find_other_live

if TYPE_CHECKING:
    from payment_service.catalog.stripe_prices import StripePrices
    from payment_service.customers.service import Customers
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Steps
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
        gateway: StripeGateway,
        customers: Customers,
        *,
        outcomes: CreationOutcomes,
        restart: Restart,
        declines: Declines,
        stripe_prices: StripePrices,
        steps: Steps,
    ) -> None:
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
        """End the operation with Stripe's refusal, unless it says that the customer is gone and another will do."""
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
        customer_id = operation.state.customer_id
        stripe_id = await self._customers.create_at_stripe(customer_id, tries=operation.state.tries)
        async with self._steps.take(operation) as step:
            step.state.stripe_customer_id, step.state.phase = stripe_id, "customer_ready"
            await self._customers.record_stripe_id(step.connection, customer_id, stripe_id=stripe_id)

    async def _attach_payment_method(self, operation: Creation) -> None:
        request = request_of(operation)
        if request.payment_method_id is None:
            await charge_nothing_unnamed(self._gateway, operation)
            operation.state.phase = "payment_method_attached"
            return
        attached = await calls.attach_payment_method(
            self._gateway,
            request.payment_method_id,
            key=operation.stripe_key("attach"),
            customer=operation.state.customer,
        )
        card = card_fingerprint(attached)
        await self._declines.admit_card(payer_of(operation), card)
        async with self._steps.take(operation) as step:
            step.state.payment_method, step.state.card = id_in(attached), card
            step.state.phase = "payment_method_attached"

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
        other = await find_other_live(self._gateway, operation.reference, customer=customer, product=product)
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
