"""Changes that wait for their payment (docs.stripe.com/billing/subscriptions/pending-updates).

With `pending_if_incomplete` the subscription stays as it is until the invoice of the change is paid; after 23 hours the
change is dropped and its invoice voided. Nothing waits with `send_invoice` or a bank debit; Stripe does not document in
what words it refuses the latter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator import item_changes
from stripe_simulator.errors import invalid
from stripe_simulator.items import announce_invoice, default_of

if TYPE_CHECKING:
    from stripe_simulator.events import Events
    from stripe_simulator.invoices import Invoices
    from stripe_simulator.item_changes import Plan
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State

TAKES: Final = {
    "expand",
    "items",
    "off_session",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
}
"""docs.stripe.com/billing/subscriptions/pending-updates-reference#supported-attributes."""
BANK_DEBITS: Final = {"us_bank_account"}
WAITS_SECONDS: Final = 23 * 3600


class PendingUpdates:
    """Lets changes wait, take effect or lapse."""

    def __init__(self, state: State, events: Events, invoices: Invoices, methods: PaymentMethods) -> None:
        self._state = state
        self._events = events
        self._invoices = invoices
        self._methods = methods

    def check(self, subscription: dict[str, Any], params: dict[str, Any]) -> None:
        """Refuse what cannot wait."""
        for name in sorted(params.keys() - TAKES):
            raise invalid(f"You cannot update {name} when payment_behavior=pending_if_incomplete.", param=name)
        if subscription["collection_method"] != "charge_automatically":
            raise invalid(
                "You cannot set payment_behavior=pending_if_incomplete with collection_method=send_invoice.",
                param="payment_behavior",
            )
        chosen = default_of(self._state, subscription)
        if chosen is not None and self._methods.card(self._methods.find(chosen)).type in BANK_DEBITS:
            raise invalid(
                "You cannot set payment_behavior=pending_if_incomplete when the subscription is paid by bank debit.",
                param="payment_behavior",
            )

    def charge(self, subscription: dict[str, Any], plan: Plan) -> None:
        """Invoice a change and try to collect it: it takes effect at once, or waits."""
        self.drop(subscription)
        hidden = self._state.hidden(subscription)
        before = _before(subscription, plan.trial_end)
        subscription["pending_update"] = {
            "billing_cycle_anchor": None,
            "expires_at": self._expiry(subscription),
            "subscription_items": [dict(item) for item in plan.items],
            "trial_end": plan.trial_end,
            "trial_from_plan": None,
        }
        announce_invoice(self._state, subscription)
        hidden |= {"pending_invoice": subscription["latest_invoice"], "pending_lines": [], "pending_told": False}
        invoice = self._invoices.open(subscription, plan.lines, reason="subscription_update")
        if invoice["status"] == "open":
            chosen = self._invoices.default_method(invoice)
            self._invoices.attempt(invoice, self._methods.find(chosen) if chosen else None)
        hidden["pending_told"] = waits = subscription["pending_update"] is not None
        self._state.touch(subscription)
        previous = {"pending_update": None} if waits else before
        self._events.emit("customer.subscription.updated", subscription, previous=previous)

    def _expiry(self, subscription: dict[str, Any]) -> int:
        """docs.stripe.com/billing/subscriptions/pending-updates-reference#expiration."""
        return min(self._state.now + WAITS_SECONDS, int(subscription["items"]["data"][0]["current_period_end"]))

    def waits_for(self, subscription: dict[str, Any], invoice: dict[str, Any]) -> bool:
        """Tell whether a change waits until this invoice is paid."""
        return bool(self._state.hidden(subscription).get("pending_invoice") == invoice["id"])

    def paid(self, subscription: dict[str, Any]) -> None:
        """Let the change take effect whose invoice is paid."""
        hidden, pending = self._state.hidden(subscription), subscription["pending_update"]
        before = _before(subscription, pending["trial_end"]) | {"pending_update": pending}
        item_changes.take(self._state, subscription, pending["subscription_items"], trial_end=pending["trial_end"])
        subscription["pending_update"] = hidden["pending_invoice"] = None
        self._state.touch(subscription)
        if hidden["pending_told"]:
            self._events.emit("customer.subscription.pending_update_applied", subscription)
            self._events.emit("customer.subscription.updated", subscription, previous=before)

    def expire(self, subscription: dict[str, Any]) -> None:
        """Drop a change that was not paid in time."""
        self.drop(subscription)
        self._events.emit("customer.subscription.pending_update_expired", subscription)

    def drop(self, subscription: dict[str, Any]) -> None:
        """Drop the change that waits, if one does, and void its invoice."""
        name = self._state.hidden(subscription).pop("pending_invoice", None)
        subscription["pending_update"] = None
        invoice = self._state.objects.get(name or "")
        if invoice is not None and invoice["status"] == "open":
            self._invoices.void(invoice)
        self._state.touch(subscription)


def _before(subscription: dict[str, Any], trial_end: int | None) -> dict[str, Any]:
    """Return what a change of items, and of a trial's end, is told to have changed."""
    before = {"items": {"data": [dict(item) for item in subscription["items"]["data"]]}}
    return before if trial_end is None else before | {name: subscription[name] for name in ("status", "trial_end")}
