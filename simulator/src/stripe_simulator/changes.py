"""Changes of a running subscription (docs.stripe.com/api/subscriptions/update)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator import item_changes
from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.items import announce_invoice, check_currency, wanted_items
from stripe_simulator.parameters import change, choice, integer, listed, nested
from stripe_simulator.pending_updates import PendingUpdates
from stripe_simulator.subscriptions import set_options

if TYPE_CHECKING:
    from stripe_simulator.coupons import Coupons
    from stripe_simulator.events import Events
    from stripe_simulator.invoices import Invoices
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State

BEHAVIOURS: Final = {"allow_incomplete", "default_incomplete", "pending_if_incomplete"}
INCOMPLETE_TAKES: Final = {"metadata", "default_payment_method", "default_source", "expand"}
PAUSES: Final = {"keep_as_draft", "mark_uncollectible", "void"}


class Changes:
    """Prices, quantities, trials, pauses, cancellation dates."""

    def __init__(
        self, state: State, events: Events, invoices: Invoices, methods: PaymentMethods, coupons: Coupons
    ) -> None:
        self._state = state
        self._events = events
        self._invoices = invoices
        self._methods = methods
        self._coupons = coupons
        self.pending: Final = PendingUpdates(state, events, invoices, methods)

    def apply(self, subscription: dict[str, Any], params: dict[str, Any]) -> None:
        """Check the whole call, then change; `previous_attributes` of the event tell what was."""
        if subscription["status"] == "incomplete":
            _refuse_more(params)
        waits = choice(params, "payment_behavior", BEHAVIOURS, default="allow_incomplete") == "pending_if_incomplete"
        if waits:
            self.pending.check(subscription, params)
        choice(params, "proration_behavior", item_changes.PRORATIONS, default="create_prorations")
        current = subscription["items"]["data"]
        coupons = self._coupons.check(params)
        plan = None
        if params.get("items") or params.get("trial_end"):
            wanted = wanted_items(self._state, listed(params, "items"), current=current)
            check_currency(self._state, subscription["customer"], wanted, current=subscription)
            plan = item_changes.plan_items(self._state, subscription, wanted, params)
        if plan is not None and plan.at_once and waits:
            self._wait(subscription, plan)
            return
        previous = self._settings(subscription, params)
        set_options(subscription, params)
        self._cancellation(subscription, params, previous)
        self._discounts(subscription, params, coupons)
        due = plan is not None and self._take(subscription, plan, previous)
        self._state.touch(subscription)
        if due:
            previous["latest_invoice"] = subscription["latest_invoice"]
            announce_invoice(self._state, subscription)
        self._events.emit("customer.subscription.updated", subscription, previous=previous)
        if due:
            self._invoice(subscription)

    def _settings(self, subscription: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change what is of no period, checked first; return what was."""
        chosen = params.get("default_payment_method")
        method = self._methods.owned(chosen, subscription["customer"]) if chosen else None
        pause = self._pause(params)
        previous = change(subscription, params, ("description",))
        if method is not None:
            previous["default_payment_method"] = subscription["default_payment_method"]
            subscription["default_payment_method"] = method["id"]
        if pause is not None:
            previous["pause_collection"] = subscription["pause_collection"]
            subscription["pause_collection"] = pause or None
        return previous

    def _pause(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the wanted pause; `{}` ends one (docs.stripe.com/billing/subscriptions/pause-payment)."""
        if "pause_collection" not in params:
            return None
        if not (wanted := nested(params, "pause_collection")):
            return {}
        return {
            "behavior": choice(wanted, "behavior", PAUSES, default=""),
            "resumes_at": integer(wanted, "resumes_at", least=self._state.now),
        }

    def _cancellation(self, subscription: dict[str, Any], params: dict[str, Any], previous: dict[str, Any]) -> None:
        """docs.stripe.com/billing/subscriptions/cancel: with the period, at a date, or not any more.

        Not to end with its period takes no date back: Stripe does not say that it would.
        """
        if "cancel_at_period_end" not in params and "cancel_at" not in params:
            return
        ends = flag(params.get("cancel_at_period_end"))
        dated = subscription["cancel_at"] is not None and not subscription["cancel_at_period_end"]
        if dated and not ends and "cancel_at" not in params:
            return
        for name in ("cancel_at_period_end", "cancel_at", "canceled_at"):
            previous[name] = subscription[name]
        moment = subscription["items"]["data"][0]["current_period_end"] if ends else integer(params, "cancel_at")
        subscription |= {
            "cancel_at_period_end": ends,
            "cancel_at": moment,
            "canceled_at": None if moment is None else self._state.now,
        }
        details = nested(params, "cancellation_details")
        reason = None if moment is None else "cancellation_requested"
        subscription["cancellation_details"] |= details | {"reason": reason}

    def _discounts(self, subscription: dict[str, Any], params: dict[str, Any], coupons: list[dict[str, Any]]) -> None:
        if "discounts" in params:
            subscription["discounts"] = [
                self._coupons.redeem(coupon, customer=subscription["customer"], subscription=subscription["id"])
                for coupon in coupons
            ]

    def _take(self, subscription: dict[str, Any], plan: item_changes.Plan, previous: dict[str, Any]) -> bool:
        """Change items and trial; return whether what is owed is to be invoiced at once."""
        previous["items"] = {"data": [dict(item) for item in subscription["items"]["data"]]}
        if plan.trial_end is not None:
            previous |= {"trial_end": subscription["trial_end"], "status": subscription["status"]}
        hidden = self._state.hidden(subscription)
        self.pending.drop(subscription)
        item_changes.take(self._state, subscription, plan.items, trial_end=plan.trial_end)
        hidden["pending_lines"] = [*hidden["pending_lines"], *plan.lines]
        return plan.at_once

    def _wait(self, subscription: dict[str, Any], plan: item_changes.Plan) -> None:
        """Let a change wait for its payment."""
        waiting = self._state.hidden(subscription)["pending_lines"]
        self.pending.charge(subscription, plan._replace(lines=[*waiting, *plan.lines]))

    def _invoice(self, subscription: dict[str, Any]) -> None:
        hidden = self._state.hidden(subscription)
        lines, hidden["pending_lines"] = hidden["pending_lines"], []
        invoice = self._invoices.open(subscription, lines, reason="subscription_update")
        if invoice["status"] == "open" and subscription["collection_method"] == "charge_automatically":
            chosen = self._invoices.default_method(invoice)
            self._invoices.attempt(invoice, self._methods.find(chosen) if chosen else None)

    def settle_cancellation(self, subscription: dict[str, Any], params: dict[str, Any]) -> None:
        """Credit unused time and invoice what is open, when the cancellation asks for it.

        docs.stripe.com/api/subscriptions/cancel: `prorate` and `invoice_now`; one with the period's end always does the
        latter.
        """
        hidden = self._state.hidden(subscription)
        if flag(params.get("prorate")):
            hidden["pending_lines"] += item_changes.cancellation_lines(self._state, subscription)
        if flag(params.get("invoice_now")) and hidden["pending_lines"]:
            self._invoice(subscription)

    def preview(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the invoice of a change, or the next one (docs.stripe.com/api/invoices/create_preview)."""
        return item_changes.preview(self._state, self._invoices, params)


def _refuse_more(params: dict[str, Any]) -> None:
    """Refuse what an incomplete subscription does not take, a cancellation with its period among it.

    docs.stripe.com/billing/subscriptions/overview#subscription-statuses: until the first payment, metadata and the
    default source or payment method are all that can change.
    """
    for name in params:
        if name not in INCOMPLETE_TAKES:
            raise invalid(
                "This subscription is incomplete: only its metadata and default payment method can be updated.",
                param=name,
            )
