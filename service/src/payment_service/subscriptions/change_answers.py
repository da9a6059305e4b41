"""What Stripe answers to a change of a subscription, and what became of the change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from payment_service.stripe_api.objects import Id, Integer, Seconds, id_of
from payment_service.subscriptions import store
from payment_service.subscriptions.answers import LatestInvoice
from payment_service.subscriptions.change_schemas import ChangedSubscription, ChangeOutcome, PendingChange

if TYPE_CHECKING:
    from payment_service.storage.rows import SubscriptionRow
    from payment_service.stripe_api.change_calls import ChangeTerms


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

    @property
    def is_owed(self) -> bool:
        """Whether the newest invoice is not paid yet."""
        return isinstance(self.latest_invoice, LatestInvoice) and self.latest_invoice.status == "open"

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


def _is_of(items: list[ItemAnswer], terms: ChangeTerms) -> bool:
    """Tell whether the one item is as the change names it."""
    price = None if terms.keeps_price else terms.price
    return [(price and id_of(item.price), item.quantity) for item in items] == [(price, terms.quantity)]
