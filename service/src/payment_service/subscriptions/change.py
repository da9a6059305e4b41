"""Changes what a subscription comes to, its price, quantity or trial: the operation `change_subscription`.

```
started → agreed → finished
```
The first step asks Stripe what the subscription is, for what the change leaves out, and what the change comes to, and
compares that with the preview that the caller saw; from `agreed` on it is not asked again, for the change may have been
made. A change that is to be paid at once waits at
Stripe until it is (`pending_if_incomplete`, docs.stripe.com/billing/subscriptions/pending-updates): what was ordered
before stays in force when the card is declined or the bank asks for the customer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, assert_never

from msgspec import Struct

from payment_service.errors import Conflict, PaymentsError
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.state import Kind, State
from payment_service.storage.mirror import moment
from payment_service.stripe_api import calls, change_calls
from payment_service.stripe_api.change_calls import ChangeTerms
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.stripe_api.objects import Id, Integer, Seconds, id_of, read
from payment_service.subscriptions import pricing, store
from payment_service.subscriptions.answers import LatestInvoice, PaymentIntentAnswer
from payment_service.subscriptions.change_schemas import ChangedSubscription, ChangeOutcome, PendingChange
from payment_service.subscriptions.refusals import Refusals
from payment_service.subscriptions.wanted import Wanted, terms_at

if TYPE_CHECKING:
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.recorder import Recorder

LAPSED: Final = "The change waited for its payment, which was not made; what was ordered before is in force"
OUTDATED: Final = "Another amount would be due now than the preview said: preview the change again"


class ChangingSubscription(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "agreed", "finished"] = "started"
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

    def agree(self, terms: ChangeTerms, *, collects: bool) -> None:
        """Keep what the change is to be."""
        self.phase, self.collects = "agreed", collects
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


class ItemAnswer(Struct):
    """An item, in force or to come."""

    price: Id | None = None
    quantity: Integer | None = None


class ItemsAnswer(Struct):
    """The items in force."""

    data: list[ItemAnswer]


class PendingUpdate(Struct):
    """docs.stripe.com/api/subscriptions/object#subscription_object-pending_update."""

    expires_at: Seconds
    subscription_items: list[ItemAnswer] | None = None
    trial_end: Seconds | None = None


class Outcome(Struct):
    """What became of a change."""

    outcome: ChangeOutcome = "applied"
    pending: PendingChange | None = None
    client_secret: str | None = None
    decline_code: str | None = None


class ChangeAnswer(Struct):
    """A subscription with its newest invoice, after a change."""

    items: ItemsAnswer
    status: str
    trial_end: Seconds | None = None
    description: str | None = None
    default_payment_method: Id | None = None
    pending_update: PendingUpdate | None = None
    latest_invoice: LatestInvoice | str | None = None

    def waits_for(self, terms: ChangeTerms) -> PendingUpdate | None:
        """Return the pending update if it is this change."""
        pending = self.pending_update
        if pending is None or (terms.trial_end is not None and pending.trial_end is None):
            return None
        return pending if not terms.orders or _is_of(pending.subscription_items or [], terms) else None

    def is_in_force(self, terms: ChangeTerms) -> bool:
        """Tell whether the change is what is ordered now."""
        return (not terms.orders or _is_of(self.items.data, terms)) and self._ends_trial(terms)

    def _ends_trial(self, terms: ChangeTerms) -> bool:
        if terms.trial_end == "now":
            return self.status != "trialing"
        return terms.trial_end is None or self.trial_end == terms.trial_end

    def changed(self, row: SubscriptionRow, outcome: Outcome) -> ChangedSubscription:
        """Build the answer of the recorded row and what became of the change."""
        view = store.to_view(row)
        members = {name: getattr(view, name) for name in view.__struct_fields__}
        told = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
        return ChangedSubscription(
            **members,
            **told,
            description=self.description,
            default_payment_method_id=id_of(self.default_payment_method),
        )

    @property
    def secret(self) -> str | None:
        """Of the payment that the newest invoice waits for."""
        invoice = self.latest_invoice
        held = invoice.confirmation_secret if isinstance(invoice, LatestInvoice) else None
        return held.client_secret if held else None


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
        self._refusals = Refusals(gateway, recorder, steps)

    async def handle(self, operation: Change) -> None:
        """Take the next step; what Stripe refuses for good ends the operation with that answer."""
        try:
            match operation.state.phase:
                case "started":
                    await self._agree(operation)
                case "agreed":
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
        terms = terms_at(await calls.retrieve_subscription(self._gateway, wanted.subscription), wanted)
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
        async with self._steps.take(operation) as step:
            step.state.agree(terms, collects=quote.collects)

    async def _change(self, operation: Change) -> None:
        """Tell Stripe, record the subscription, answer with what is in force."""
        obj = await self._change_once(operation)
        outcome = await self._outcome(obj, operation.state.terms)
        if outcome is None:
            await self._refusals.refuse(operation, Conflict(LAPSED))
            return

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                step.response = StoredResponse.of(200, read(current, ChangeAnswer).changed(row, outcome))

        await self._recorder.until_current(obj, write)

    async def _change_once(self, operation: Change) -> JsonObject:
        """Return the changed subscription as it is now; one that an earlier try changed is not changed again.

        Once Stripe may have forgotten the key, the subscription itself shows whether it was.
        """
        state = operation.state
        if not operation.stripe_keys_hold:
            obj = await calls.retrieve_subscription(self._gateway, state.stripe_subscription_id)
            answer = read(obj, ChangeAnswer)
            if answer.is_in_force(state.terms) or answer.waits_for(state.terms) is not None:
                return obj
        return await change_calls.change_subscription(
            self._gateway, state.terms, key=operation.stripe_key("change"), waits=state.collects
        )

    async def _outcome(self, obj: JsonObject, terms: ChangeTerms) -> Outcome | None:
        """Return what became of the change; what waits is asked why. None: it waited, and Stripe has dropped it."""
        answer = read(obj, ChangeAnswer)
        pending = answer.waits_for(terms)
        if pending is None:
            return Outcome() if answer.is_in_force(terms) else None
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


def _is_of(items: list[ItemAnswer], terms: ChangeTerms) -> bool:
    """Tell whether the one item is as the change names it."""
    price = None if terms.keeps_price else terms.price
    return [(price and id_of(item.price), item.quantity) for item in items] == [(price, terms.quantity)]
