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

from typing import TYPE_CHECKING, Any, Final

import structlog

from payment_service.errors import (
    Conflict,
    PaymentDeclined,
    PaymentMethodRequired,
    PaymentsError,
    SubscriptionInProgress,
    TooManyDeclines,
    Unprocessable,
)
from payment_service.observability.metrics import PAYMENT_ATTEMPTS
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import Operations, refusal
from payment_service.payments.declines import Declines, card_fingerprint
from payment_service.storage.tables import LIVE_STATUSES
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.subscriptions import slots
from payment_service.subscriptions.gone import is_of_customer, name_field
from payment_service.subscriptions.limits import payer_of
from payment_service.subscriptions.placement import (
    NEW,
    charge_nothing_unnamed,
    request_of,
    terms_of,
)
from payment_service.subscriptions.schemas import TERMINAL
from payment_service.subscriptions.store import to_created
from payment_service.subscriptions.stripe_lookup import declined_reason, find_by_operation, find_other_live

if TYPE_CHECKING:
    from payment_service.catalog.service import Catalog
    from payment_service.customers.service import Customers
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway, StripeObject
    from payment_service.subscriptions.gone import Restart
    from payment_service.subscriptions.placement import Placement
    from payment_service.subscriptions.recorder import Recorder

KIND: Final = "create_subscription"
REQUIRES_ACTION: Final = "invoice_payment_intent_requires_action"

log = structlog.get_logger("payments")


class SubscriptionCreation:
    """The steps from a request to a subscription at Stripe and its row here."""

    def __init__(
        self,
        gateway: StripeGateway,
        customers: Customers,
        *,
        placement: Placement,
        restart: Restart,
        recorder: Recorder,
        declines: Declines,
        catalog: Catalog,
        livemode: bool,
    ) -> None:
        self.gateway = gateway
        self.placement = placement
        self._restart = restart
        self.recorder = recorder
        self._declines = declines
        self._catalog = catalog
        self._customers = customers
        self.livemode = livemode
        self.operations: Operations | None = None

    async def handle(self, operation: Operation) -> None:
        """Take the next step; what Stripe refuses for good ends the operation with that answer."""
        step = {
            "started": self._make_customer,
            "customer_ready": self._attach_payment_method,
            "payment_method_attached": self._take_slot,
            "place_ready": self._create,
            "declined": self._cancel_declined,
        }[operation.phase]
        try:
            await step(operation)
        except (StripeDeclined, TooManyDeclines, PaymentMethodRequired) as error:
            await self._refuse(operation, error)
        except StripeRejected as error:
            await self._refuse_or_begin_again(operation, error)

    async def _refuse_or_begin_again(self, operation: Operation, error: StripeRejected) -> None:
        """End the operation with Stripe's refusal, unless it says that the customer is gone and another will do."""
        refused: PaymentsError = error
        if is_of_customer(error) and "stripe_customer_id" in operation.facts:
            try:
                if await self._restart.begin_again(operation, self._operations):
                    return
            except (StripeRejected, Conflict, Unprocessable) as final:
                refused = final
        await name_field(error, operation, self._catalog)
        await self._refuse(operation, refused)

    async def _make_customer(self, operation: Operation) -> None:
        tries = operation.facts.get("tries", 0)
        stripe_id = await self._customers.create_at_stripe(operation.facts["customer_id"], tries=tries)
        async with self._operations.advance(operation, "customer_ready", stripe_customer_id=stripe_id) as connection:
            await self._customers.record_stripe_id(connection, operation.facts["customer_id"], stripe_id=stripe_id)

    async def _attach_payment_method(self, operation: Operation) -> None:
        request = request_of(operation)
        if request.payment_method_id is None:
            await charge_nothing_unnamed(self.gateway, operation)
            operation.phase = "payment_method_attached"
            return
        attached = await calls.attach_payment_method(
            self.gateway,
            request.payment_method_id,
            key=operation.stripe_key("attach"),
            customer=operation.facts["stripe_customer_id"],
        )
        card = card_fingerprint(attached)
        await self._declines.admit_card(payer_of(operation), card)
        facts = {"payment_method": attached["id"], "card": card}
        async with self._operations.advance(operation, "payment_method_attached", **facts):
            pass

    async def _take_slot(self, operation: Operation) -> None:
        """Deal with an incomplete subscription that holds the slot, if there is one."""
        holder = operation.facts.get("holder")
        if holder is None:
            operation.phase = "place_ready"
            return
        obj = await calls.retrieve_subscription(self.gateway, holder["stripe_id"])
        if holder.get("ours"):
            await self._succeed(operation, obj, status=201)  # the database has lost that this operation made it
        elif obj["status"] in LIVE_STATUSES and holder["same"] and operation.attempts > 1:
            await self._succeed(operation, obj, status=200)  # an earlier attempt paid it and could not say so
        elif obj["status"] in LIVE_STATUSES:
            await self._refuse_as_live(operation, obj)
        elif obj["status"] == "incomplete" and holder["same"]:
            await self._resume(operation, obj)
        else:
            if obj["status"] == "incomplete":
                obj = await self._end(operation, holder["stripe_id"], call="supersede")
            await self._replace(operation, obj)

    async def _end(self, operation: Operation, stripe_id: str, *, call: str) -> StripeObject:
        """Cancel an incomplete subscription, whoever is faster."""
        key = operation.stripe_key(call)
        try:
            return await calls.cancel_subscription(self.gateway, stripe_id, key=key, mark=operation.mark)
        except StripeRejected:
            obj = await calls.retrieve_subscription(self.gateway, stripe_id)
            if obj["status"] not in TERMINAL:
                raise
            return obj

    async def _refuse_as_live(self, operation: Operation, obj: StripeObject) -> None:
        async def write(current: StripeObject, seen: Seen | None) -> None:
            async with self._operations.finish(operation) as connection:
                row = await self.recorder.record_for(connection, operation, current, seen=seen)
                operation.response = refusal(slots.exists(row), operation)
            PAYMENT_ATTEMPTS.labels("duplicate").inc()

        await self.recorder.until_current(obj, write)

    async def _replace(self, operation: Operation, obj: StripeObject) -> None:
        """Record that the former one has ended and reserve the slot for the new one.

        When another request was faster the operation ends: tried again later, it could charge when nobody waits for it.
        """

        async def write(current: StripeObject, seen: Seen | None) -> None:
            async with self._operations.advance(operation, "place_ready", holder=None) as connection:
                await self.recorder.record_for(connection, operation, current, seen=seen)
                if not await self.placement.reserve(connection, operation):
                    error = SubscriptionInProgress("Another request took the slot of this customer and product")
                    operation.response = refusal(error, operation)

        await self.recorder.until_current(obj, write)

    async def _resume(self, operation: Operation, obj: dict[str, Any]) -> None:
        """Go on with the incomplete subscription: pay its open invoice, or hand out its client secret again.

        Paying the same invoice cannot charge twice: Stripe refuses to pay a paid one.
        """
        if await self._is_second(operation):
            return
        if method := operation.facts.get("payment_method"):
            invoice = obj["latest_invoice"]
            try:
                key = operation.stripe_key("pay")
                await calls.pay_invoice(self.gateway, invoice["id"], key=key, payment_method=method)
            except StripeDeclined as error:
                if error.stripe_code != REQUIRES_ACTION:
                    await self._decline(operation, obj, error)
                    return
            except StripeRejected:
                log.info("resumed_invoice_not_payable", operation=operation.id)
            obj = await calls.retrieve_subscription(self.gateway, obj["id"])
        await self._succeed(operation, obj, status=200)

    async def _is_second(self, operation: Operation) -> bool:
        """End the operation if Stripe shows another live subscription of the customer to the product.

        The mirror was asked before, but an event may be on its way, or lost. A customer made just now has none.
        """
        made_now = operation.facts.get(NEW) and operation.attempts == 1
        if request_of(operation).allow_multiple or made_now:
            return False
        customer, product = operation.facts["stripe_customer_id"], operation.facts["product_id"]
        other = await find_other_live(self.gateway, operation.mark, customer=customer, product=product)
        if other is None:
            return False
        await self._refuse_as_live(operation, other)
        return True

    async def _create(self, operation: Operation) -> None:
        if await self._is_second(operation):
            return
        obj = await self._create_at_stripe(operation)
        declined = await declined_reason(self.gateway, obj) if operation.facts.get("payment_method") else None
        if declined is not None:
            await self._decline(operation, obj, declined)
        else:
            await self._succeed(operation, obj, status=201)

    async def _create_at_stripe(self, operation: Operation) -> dict[str, Any]:
        """Create the subscription, or find the one that an earlier try created under a key that is of no use now."""
        customer = operation.facts["stripe_customer_id"]
        if not operation.stripe_keys_hold:
            found = await find_by_operation(self.gateway, operation.mark, customer=customer)
            if found is not None:
                return found
        key = operation.stripe_key("subscription")
        return await calls.create_subscription(self.gateway, terms_of(operation), key=key)

    async def _decline(self, operation: Operation, obj: dict[str, Any], error: PaymentsError) -> None:
        """Commit that the card was declined; cancelling the incomplete subscription is a phase of its own."""
        facts = {"stripe_subscription_id": obj["id"], "declined": {"detail": error.detail, **error.extra}}

        async def write(current: StripeObject, seen: Seen | None) -> None:
            async with self._operations.advance(operation, "declined", **facts) as connection:
                await self.recorder.record_for(connection, operation, current, seen=seen)

        await self.recorder.until_current(obj, write)
        await self._declines.count(payer_of(operation), operation.facts.get("card"))

    async def _cancel_declined(self, operation: Operation) -> None:
        stripe_id = operation.facts["stripe_subscription_id"]
        obj = await self._end(operation, stripe_id, call="cancel-declined")
        declined = dict(operation.facts["declined"])
        error = PaymentDeclined(declined.pop("detail"), **declined)

        async def write(current: StripeObject, seen: Seen | None) -> None:
            async with self._operations.finish(operation) as connection:
                await self.recorder.record_for(connection, operation, current, seen=seen)
                operation.response = refusal(error, operation)

        await self.recorder.until_current(obj, write)
        PAYMENT_ATTEMPTS.labels("declined").inc()
        log.info("payment_declined", operation=operation.id, decline_code=declined.get("decline_code"))

    async def _succeed(self, operation: Operation, obj: StripeObject, *, status: int) -> None:
        async def write(current: StripeObject, seen: Seen | None) -> None:
            async with self._operations.finish(operation) as connection:
                row = await self.recorder.record_for(connection, operation, current, seen=seen)
                view = to_created(row, current, customer_id=operation.facts["customer_id"])
                operation.response = StoredResponse.of(status, view)
            PAYMENT_ATTEMPTS.labels("requires_action" if view.status == "incomplete" else "succeeded").inc()
            log.info("subscription_created", operation=operation.id, subscription=view.id, status=view.status)

        await self.recorder.until_current(obj, write)

    async def _refuse(self, operation: Operation, error: PaymentsError) -> None:
        """End the operation with Stripe's refusal; the reserved slot is given back."""
        async with self._operations.finish(operation) as connection:
            if reserved := operation.facts.get("subscription_id"):
                await slots.release(connection, reserved)
            operation.response = refusal(error, operation)
        PAYMENT_ATTEMPTS.labels("declined" if isinstance(error, StripeDeclined) else "refused").inc()
        if isinstance(error, StripeDeclined):
            await self._declines.count(payer_of(operation), card_fingerprint(error.payment_method))

    @property
    def _operations(self) -> Operations:
        assert self.operations is not None
        return self.operations
