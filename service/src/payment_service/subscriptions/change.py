"""Changes what a subscription comes to, its price, quantity or trial: the operation `change_subscription`.

```
started → agreed → finished
             ↘ at_once ↗
```
The first step asks Stripe what the subscription is, for what the change leaves out, and what the change comes to, and
compares that with the preview that the caller saw; from `agreed` on it is not asked again, for the change may have been
made. A change that is to be paid at once waits at Stripe until it is (`pending_if_incomplete`,
docs.stripe.com/billing/subscriptions/pending-updates): what was ordered before stays in force when the card is declined
or the bank asks for the customer. Stripe refuses to let one wait that is paid by bank debit: it is then made `at_once`,
under a key of its own, and is in force before it is paid. One to another product holds that product's slot from the
first transaction to the last, and Stripe is asked right before it (`change_slot.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, assert_never

from payment_service.errors import Conflict, PaymentsError
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State
from payment_service.storage.mirror import moment
from payment_service.stripe_api import calls, change_calls
from payment_service.stripe_api.change_calls import ChangeTerms
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.stripe_api.objects import read
from payment_service.subscriptions import change_slot, pricing, slots
from payment_service.subscriptions.answers import PaymentIntentAnswer
from payment_service.subscriptions.change_answers import ChangeAnswer, Outcome
from payment_service.subscriptions.change_schemas import PendingChange
from payment_service.subscriptions.refusals import Refusals
from payment_service.subscriptions.stripe_lookup import find_other_live, products_of
from payment_service.subscriptions.wanted import Wanted, terms_at

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Step, Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.recorder import Recorder

LAPSED: Final = "The change waited for its payment, which was not made; what was ordered before is in force"
OUTDATED: Final = "Another amount would be due now than the preview said: preview the change again"


class ChangingSubscription(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "agreed", "at_once", "finished"] = "started"
    customer_id: str | None = None
    """Our id of whose it is; None: the customer is not known here."""
    stripe_subscription_id: str
    item_id: str = ""
    """Known from `agreed` on, as `orders`, `period_end` and whatever price and quantity stay."""
    price_id: str | None = None
    """None: the price is not named."""
    metered: bool = False
    """Whether the named price takes no quantity."""
    keeps_price: bool = False
    quantity: int | None = None
    orders: bool = True
    """Whether price or quantity are to be others."""
    trial_end: int | Literal["now"] | None = None
    """When the trial is to end; None: as it was."""
    proration_behavior: str
    proration_date: int
    """In seconds, fixed before the first call."""
    period_end: int = 0
    """Of the period that it was in."""
    preview: str | None = None
    """What stands for the amounts that the caller saw (`pricing.digest`), if a preview was sent."""
    collects: bool = True
    """Stripe charges by itself; known from `agreed` on."""
    slot: change_slot.Held | None = None
    """Of the product of the named price; None: no price is named, or several subscriptions to one are allowed."""
    moves: bool = False
    """Whether Stripe showed no item of that product before; known from `agreed` on."""

    @property
    def wanted(self) -> Wanted:
        """The change as it is asked for, until it is agreed."""
        return Wanted(
            subscription=self.stripe_subscription_id,
            price=self.price_id,
            metered=self.metered,
            quantity=self.quantity,
            trial_end=self.trial_end,
            behavior=self.proration_behavior,
            at=self.proration_date,
        )

    def agree(self, terms: ChangeTerms, *, collects: bool, products: set[str]) -> None:
        """Keep what the change is to be, of a subscription that has these products."""
        self.phase, self.collects = "agreed", collects
        self.moves = self.slot is not None and self.slot.product_id not in products
        self.item_id, self.price_id, self.quantity = terms.item, terms.price, terms.quantity
        self.keeps_price, self.orders, self.period_end = terms.keeps_price, terms.orders, terms.period_end

    @property
    def terms(self) -> ChangeTerms:
        """The change as it was agreed."""
        return ChangeTerms(
            subscription=self.stripe_subscription_id,
            item=self.item_id,
            price=self.price_id or "",
            quantity=self.quantity,
            behavior=self.proration_behavior,
            at=self.proration_date,
            period_end=self.period_end,
            orders=self.orders,
            trial_end=self.trial_end,
            keeps_price=self.keeps_price,
        )


Change = Operation[ChangingSubscription]
KIND: Final = Kind("change_subscription", ChangingSubscription)


class SubscriptionChange:
    """Drives the operation.

    Args:
        gateway: is asked and told.
        recorder: of subscriptions.
        steps: commits each phase.
    """

    def __init__(self, gateway: StripeGateway, recorder: Recorder, steps: Steps) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps
        self._refusals = Refusals(gateway, recorder, steps, ending=_give_back)

    async def handle(self, operation: Change) -> None:
        """Take the next step; what Stripe refuses for good ends the operation with that answer."""
        try:
            match operation.state.phase:
                case "started":
                    await self._agree(operation)
                case "agreed" | "at_once":
                    await self._change(operation)
                case "finished":
                    raise AssertionError("an operation with its answer is driven no further")
                case unknown:
                    assert_never(unknown)
        except StripeDeclined as error:
            await self._refusals.refuse(operation, error)
        except StripeRejected as error:
            await self._refusals.refuse_as_it_is(operation, operation.state.stripe_subscription_id, error)

    async def _agree(self, operation: Change) -> None:
        """Compare what the change comes to with what the caller saw."""
        wanted, preview = operation.state.wanted, operation.state.preview
        obj = await calls.retrieve_subscription(self._gateway, wanted.subscription)
        terms = terms_at(obj, wanted)
        if isinstance(terms, PaymentsError):
            await self._refusals.refuse(operation, terms)
            return
        try:
            quote = await pricing.preview(self._gateway, terms)
        except StripeRejected as error:
            if preview is None or "proration_date" not in (error.param or ""):
                raise
            await self._refusals.refuse(operation, pricing.PreviewOutdated(OUTDATED))  # another period has begun
            return
        if preview is not None and preview != pricing.digest(terms, quote):
            await self._refusals.refuse(operation, pricing.PreviewOutdated(OUTDATED))
            return
        products = await products_of(self._gateway, obj)
        async with self._steps.take(operation) as step:
            step.state.agree(terms, collects=quote.collects, products=products)

    async def _change(self, operation: Change) -> None:
        """Tell Stripe, record the subscription, answer with what is in force."""
        state = operation.state
        obj = await self._changed_before(operation)
        if obj is None:
            other = await self._find_other(operation)
            if other is not None:
                await self._refuse_as_live(operation, other)
                return
            obj = await self._make(operation)
            if obj is None:
                return
        outcome = await self._outcome(obj, state)
        if outcome is None:
            await self._refusals.refuse(operation, Conflict(LAPSED))
            return

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                await _give_back(step)
                step.response = StoredResponse.of(200, read(current, ChangeAnswer).changed(row, outcome))

        await self._recorder.until_current(obj, write)

    async def _make(self, operation: Change) -> JsonObject | None:
        """Make the change; None: Stripe lets it not wait for its payment, and the next step is to make it at once.

        Raises:
            StripeRejected: Stripe refuses the change.
        """
        state = operation.state
        waits = state.collects and state.phase == "agreed"
        key = operation.stripe_key("change-at-once" if state.phase == "at_once" else "change")
        try:
            return await change_calls.change_subscription(self._gateway, state.terms, key=key, waits=waits)
        except StripeRejected as error:
            if not waits or not change_calls.refuses_to_wait(error):
                raise
        async with self._steps.take(operation) as step:
            step.state.phase = "at_once"
        return None

    async def _changed_before(self, operation: Change) -> JsonObject | None:
        """Return the subscription as it is if an earlier try may have changed it and it shows the change.

        With Stripe's key that try is repeated and comes to the same. Once Stripe may have forgotten the key, the
        subscription itself shows whether it was; so it does where another live one is looked for, which may have come
        after the change.
        """
        state = operation.state
        if operation.stripe_keys_hold and not (state.moves and operation.attempts > 1):
            return None
        obj = await calls.retrieve_subscription(self._gateway, state.stripe_subscription_id)
        answer = read(obj, ChangeAnswer)
        return obj if answer.is_in_force(state.terms) or answer.waits_for(state.terms) is not None else None

    async def _find_other(self, operation: Change) -> JsonObject | None:
        """Return a live subscription that the customer has to the product that this one is to move to."""
        slot, besides = operation.state.slot, operation.state.stripe_subscription_id
        if slot is None or not operation.state.moves:
            return None
        return await find_other_live(
            self._gateway, customer=slot.stripe_customer_id, product=slot.product_id, besides=besides
        )

    async def _refuse_as_live(self, operation: Change, other: JsonObject) -> None:
        """Answer that the customer has a live subscription to the product."""

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                await _give_back(step)
                step.response = refusal(slots.exists(row), operation)

        await self._recorder.until_current(other, write)

    async def _outcome(self, obj: JsonObject, state: ChangingSubscription) -> Outcome | None:
        """Return what became of the change; what waits is asked why. None: it waited, and Stripe has dropped it."""
        answer, terms = read(obj, ChangeAnswer), state.terms
        pending = answer.waits_for(terms)
        if pending is None:
            unpaid = state.phase == "at_once" and answer.is_owed
            return Outcome(outcome="applied_unpaid" if unpaid else "applied") if answer.is_in_force(terms) else None
        expires = moment(pending.expires_at)
        assert expires is not None
        waiting = PendingChange(price_id=terms.price, quantity=terms.quantity, expires_at=expires)
        secret = answer.secret
        if secret is None:
            return Outcome(outcome="requires_payment_method", pending=waiting)
        intent = await calls.retrieve_payment_intent(self._gateway, secret.partition("_secret_")[0])
        payment = read(intent, PaymentIntentAnswer)
        asks = payment.status != "requires_payment_method"
        error = payment.last_payment_error
        return Outcome(
            outcome="requires_action" if asks else "requires_payment_method",
            pending=waiting,
            client_secret=secret,
            decline_code=None if asks or error is None else error.decline_code,
        )


async def _give_back(step: Step[ChangingSubscription]) -> None:
    """Give the slot back, in the transaction that ends the operation."""
    await change_slot.give_back(step.connection, step.state.slot)
