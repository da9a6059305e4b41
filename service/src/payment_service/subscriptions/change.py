"""Changes what a subscription is for: the operation `change_subscription`.

```
started → agreed → finished
```
The first step asks Stripe what the change comes to and compares that with the preview that the caller saw; from
`agreed` on it is not asked again, for the change may have been made. A change that is to be paid at once waits at
Stripe until it is (`pending_if_incomplete`, docs.stripe.com/billing/subscriptions/pending-updates): what was ordered
before stays in force when the card is declined or the bank asks for the customer.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Literal, assert_never

from msgspec import Struct

from payment_service.errors import Conflict
from payment_service.mirror.subscription import TERMINAL
from payment_service.operations.schemas import Operation, StoredResponse
from payment_service.operations.service import refusal
from payment_service.operations.state import Kind, State
from payment_service.storage.mirror import moment
from payment_service.stripe_api import calls, change_calls
from payment_service.stripe_api.gateway import StripeDeclined, StripeRejected
from payment_service.stripe_api.objects import Id, Integer, Seconds, id_of, read
from payment_service.subscriptions import pricing, store
from payment_service.subscriptions.answers import LatestInvoice, PaymentIntentAnswer, answer_of
from payment_service.subscriptions.change_schemas import ChangedSubscription, ChangeOutcome, PendingChange

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.json_types import JsonObject
    from payment_service.operations.steps import Steps
    from payment_service.storage.mirror import Seen
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.subscriptions.pricing import Seals
    from payment_service.subscriptions.recorder import Recorder

OUTDATED: Final = "Another amount would be due now than the preview said: preview the change again"


class ChangingSubscription(State, kw_only=True):
    """What its phases know."""

    phase: Literal["started", "agreed", "finished"] = "started"
    customer_id: str | None = None
    """Our id of whose it is; None: the customer is not known here."""
    stripe_subscription_id: str
    item_id: str
    price_id: str
    quantity: int | None = None
    proration_behavior: str
    proration_date: int
    """In seconds, fixed before the first call."""
    period_end: int
    """Of the period that it was in."""
    preview: str | None = None
    """The fingerprint that the caller sent."""
    collects: bool = True
    """Stripe charges by itself; known from `agreed` on."""

    @property
    def terms(self) -> pricing.Terms:
        """The change."""
        return pricing.Terms(
            subscription=self.stripe_subscription_id,
            item=self.item_id,
            price=self.price_id,
            quantity=self.quantity,
            behavior=self.proration_behavior,
            at=self.proration_date,
            period_end=self.period_end,
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


class ChangeAnswer(Struct):
    """A subscription with its newest invoice, after a change."""

    items: ItemsAnswer
    pending_update: PendingUpdate | None = None
    latest_invoice: LatestInvoice | str | None = None

    def waits_for(self, terms: pricing.Terms) -> PendingUpdate | None:
        """Return the pending update if it is this change."""
        pending = self.pending_update
        return pending if pending and _is_of(pending.subscription_items or [], terms) else None

    def has(self, terms: pricing.Terms) -> bool:
        """Tell whether the change is in force, or waits."""
        return _is_of(self.items.data, terms) or self.waits_for(terms) is not None

    @property
    def secret(self) -> str | None:
        """Of the payment that the newest invoice waits for."""
        invoice = self.latest_invoice
        held = invoice.confirmation_secret if isinstance(invoice, LatestInvoice) else None
        return held.client_secret if held else None


class Outcome(Struct):
    """What became of a change."""

    outcome: ChangeOutcome = "applied"
    pending: PendingChange | None = None
    client_secret: str | None = None
    decline_code: str | None = None


class SubscriptionChange:
    """Drives the operation.

    Args:
        gateway: is asked and told.
        recorder: of subscriptions.
        steps: commits each phase.
        seals: of previews.
    """

    def __init__(self, gateway: StripeGateway, recorder: Recorder, steps: Steps, *, seals: Seals) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._steps = steps
        self._seals = seals

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
            await self._refuse(operation, error)
        except StripeRejected as error:
            await self._refuse_as_it_is(operation, error)

    async def _agree(self, operation: Change) -> None:
        """Compare what the change comes to with what the caller saw."""
        terms, preview = operation.state.terms, operation.state.preview
        try:
            quote = await pricing.preview(self._gateway, terms)
        except StripeRejected as error:
            if preview is None or "proration_date" not in (error.param or ""):
                raise
            await self._refuse(operation, pricing.PreviewOutdated(OUTDATED))  # another period has begun
            return
        if preview is not None and not self._seals.holds(preview, terms, quote):
            await self._refuse(operation, pricing.PreviewOutdated(OUTDATED))
            return
        async with self._steps.take(operation) as step:
            step.state.phase, step.state.collects = "agreed", quote.collects

    async def _change(self, operation: Change) -> None:
        """Tell Stripe, record the subscription, answer with what is in force."""
        obj = await self._change_once(operation)
        outcome = await self._outcome(obj, operation.state.terms)

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                row = await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                view = store.to_view(row)
                members = {name: getattr(view, name) for name in view.__struct_fields__}
                told = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
                step.response = StoredResponse.of(200, ChangedSubscription(**members, **told))

        await self._recorder.until_current(obj, write)

    async def _change_once(self, operation: Change) -> JsonObject:
        """Return the changed subscription as it is now; one that an earlier try changed is not changed again.

        Once Stripe may have forgotten the key, the subscription itself shows whether it was.
        """
        state = operation.state
        if not operation.stripe_keys_hold:
            obj = await calls.retrieve_subscription(self._gateway, state.stripe_subscription_id)
            if read(obj, ChangeAnswer).has(state.terms):
                return obj
        return await change_calls.change_subscription(
            self._gateway,
            state.stripe_subscription_id,
            key=operation.stripe_key("change"),
            item=state.item_id,
            price=state.price_id,
            quantity=state.quantity,
            proration_behavior=state.proration_behavior,
            proration_date=state.proration_date,
            waits=state.collects,
        )

    async def _outcome(self, obj: JsonObject, terms: pricing.Terms) -> Outcome:
        """Return what became of the change; what waits is asked why."""
        answer = read(obj, ChangeAnswer)
        pending = answer.waits_for(terms)
        if pending is None:
            return Outcome()
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

    async def _refuse_as_it_is(self, operation: Change, error: StripeRejected) -> None:
        """End the operation with Stripe's refusal, or with a conflict: the subscription has ended meanwhile."""
        obj: JsonObject | None = None
        with contextlib.suppress(StripeRejected):  # it is not there at all: test data was deleted
            obj = await calls.retrieve_subscription(self._gateway, operation.state.stripe_subscription_id)
        if obj is None or answer_of(obj).status not in TERMINAL:
            await self._refuse(operation, error)
            return
        ended = refusal(Conflict("The subscription has ended already"), operation)

        async def write(current: JsonObject, seen: Seen | None) -> None:
            async with self._steps.take(operation) as step:
                await self._recorder.record(step.connection, current, seen=seen, cause=operation.id)
                step.response = ended

        await self._recorder.until_current(obj, write)

    async def _refuse(self, operation: Change, error: PaymentsError) -> None:
        async with self._steps.take(operation) as step:
            step.response = refusal(error, operation)


def _is_of(items: list[ItemAnswer], terms: pricing.Terms) -> bool:
    return [(id_of(item.price), item.quantity) for item in items] == [(terms.price, terms.quantity)]
