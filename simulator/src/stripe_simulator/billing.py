"""Changes of subscriptions, and what the clock does to them (docs.stripe.com/billing/subscriptions/overview)."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid
from stripe_simulator.items import ENDED, announce_invoice, period_lines
from stripe_simulator.periods import period_end

if TYPE_CHECKING:
    from stripe_simulator.changes import Changes
    from stripe_simulator.events import Events
    from stripe_simulator.invoices import Invoices
    from stripe_simulator.payments import Payments
    from stripe_simulator.state import State
    from stripe_simulator.subscriptions import Subscriptions

INCOMPLETE_SECONDS: Final = 23 * 3600
"""docs.stripe.com/billing/subscriptions/overview#subscription-statuses: an incomplete one expires after 23 hours."""
NOTICE_SECONDS: Final = 3 * 86400
"""docs.stripe.com/api/events/types#event_types-customer.subscription.trial_will_end: three days before."""


class Billing:
    """The life of subscriptions."""

    def __init__(
        self,
        state: State,
        events: Events,
        *,
        payments: Payments,
        invoices: Invoices,
        subscriptions: Subscriptions,
        changes: Changes,
    ) -> None:
        self._state = state
        self._events = events
        self._payments = payments
        self._invoices = invoices
        self._subscriptions = subscriptions
        self._changes = changes
        invoices.on_paid, invoices.on_unpaid = self._paid, self._unpaid
        self._due: list[tuple[int, str]] = []
        for subscription in state.newest("subscription"):
            self._schedule(subscription)

    def create(self, params: dict[str, Any], **hidden: Any) -> dict[str, Any]:
        """Create a subscription."""
        subscription = self._subscriptions.create(params, **hidden)
        self._schedule(subscription)
        return subscription

    def update(self, subscription: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change a subscription (docs.stripe.com/api/subscriptions/update)."""
        _refuse_ended(subscription)
        self._changes.apply(subscription, params)
        self._schedule(subscription)
        return subscription

    def cancel(self, subscription: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Cancel at once (docs.stripe.com/api/subscriptions/cancel); an unpaid first invoice is voided."""
        _refuse_ended(subscription)
        details = (params or {}).get("cancellation_details") or {}
        subscription["cancellation_details"] |= details | {"reason": "cancellation_requested"}
        self._changes.settle_cancellation(subscription, params or {})
        self._end(subscription, "canceled")
        return subscription

    def resume(self, subscription: dict[str, Any]) -> dict[str, Any]:
        """Start a paused subscription's next period (docs.stripe.com/api/subscriptions/resume)."""
        if subscription["status"] != "paused":
            raise invalid("You can only resume a subscription that is paused.", code="resource_invalid_state")
        self._start_period(subscription, self._state.now)
        subscription["status_details"] = None
        announce_invoice(self._state, subscription)
        self._set_status(subscription, "active")
        self._events.emit("customer.subscription.resumed", subscription)
        self._bill(subscription, reason="subscription_cycle")
        self._schedule(subscription)
        return subscription

    def after_confirmation(self, intent: dict[str, Any]) -> None:
        """Follow up on an intent that a client confirmed; one without an invoice needs nothing."""
        invoice = self._state.objects.get(self._state.hidden(intent).get("invoice") or "")
        if invoice is not None and invoice["status"] == "open":
            self._invoices.after_attempt(invoice, intent["status"])

    def after_setup(self, intent: dict[str, Any]) -> None:
        """Take the payment method that a trial asked for."""
        subscription = self._state.objects.get(self._state.hidden(intent).get("subscription") or "")
        if subscription is not None and subscription["status"] not in ENDED:
            previous = {"pending_setup_intent": subscription["pending_setup_intent"]}
            subscription |= {"default_payment_method": intent["payment_method"], "pending_setup_intent": None}
            self._state.touch(subscription)
            self._events.emit("customer.subscription.updated", subscription, previous=previous)

    def cancel_all(self, customer: dict[str, Any]) -> None:
        """Cancel what a customer has, before it is deleted."""
        for subscription in self._state.all("subscription"):
            if subscription["customer"] == customer["id"] and subscription["status"] not in ENDED:
                self.cancel(subscription)

    def _paid(self, invoice: dict[str, Any]) -> None:
        subscription = self._state.objects[self._state.hidden(invoice)["subscription"]]
        if self._changes.pending.waits_for(subscription, invoice):
            self._changes.pending.paid(subscription)
            self._schedule(subscription)
        intent = self._invoices.intent(invoice)
        if intent is not None and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
            subscription["default_payment_method"] = intent["payment_method"] or subscription["default_payment_method"]
            self._state.touch(subscription)
        if subscription["status"] in {"incomplete", "past_due", "unpaid"}:
            self._set_status(subscription, "active")
            self._schedule(subscription)

    def _unpaid(self, invoice: dict[str, Any]) -> None:
        """A renewal that fails makes the subscription past due; after the last attempt it is cancelled."""
        subscription = self._state.objects[self._state.hidden(invoice)["subscription"]]
        if self._changes.pending.waits_for(subscription, invoice):
            return  # the change waits, nothing else does
        if subscription["status"] == "active" and invoice["billing_reason"] != "subscription_create":
            self._set_status(subscription, "past_due")
        if subscription["status"] == "past_due" and invoice["billing_reason"] == "subscription_cycle":
            if invoice["next_payment_attempt"] is None and invoice["attempted"]:
                subscription["cancellation_details"]["reason"] = "payment_failed"
                self._end(subscription, "canceled")
            self._schedule(subscription)

    def _set_status(self, subscription: dict[str, Any], status: str) -> None:
        previous = {"status": subscription["status"]}
        subscription["status"] = status
        self._state.touch(subscription)
        self._events.emit("customer.subscription.updated", subscription, previous=previous)

    def _end(self, subscription: dict[str, Any], status: str) -> None:
        first = subscription["status"] in {"incomplete", "incomplete_expired"}
        self._changes.pending.drop(subscription)
        invoice = self._state.objects.get(subscription["latest_invoice"] or "")
        subscription |= {"status": status, "ended_at": self._state.now, "pending_setup_intent": None}
        subscription["canceled_at"] = subscription["canceled_at"] or self._state.now
        self._state.touch(subscription)
        if invoice is not None and invoice["status"] in {"open", "draft"}:
            if first or invoice["status"] == "draft":
                self._invoices.void(invoice)
            else:
                invoice["auto_advance"], invoice["next_payment_attempt"] = False, None
                self._state.touch(invoice)
        kind = "customer.subscription.deleted" if status == "canceled" else "customer.subscription.updated"
        self._events.emit(kind, subscription)

    # What the clock does

    def advance(self) -> None:
        """Do what the clock makes due, oldest first."""
        while self._due and self._due[0][0] <= self._state.now:
            _, name = heapq.heappop(self._due)
            subscription = self._state.objects.get(name)
            if subscription is not None and (due := self._next(subscription)) is not None:
                if due <= self._state.now:
                    self._step(subscription)
                self._schedule(subscription)

    def _schedule(self, subscription: dict[str, Any]) -> None:
        due = self._next(subscription)
        if due is not None:
            heapq.heappush(self._due, (due, subscription["id"]))

    def _next(self, subscription: dict[str, Any]) -> int | None:
        """Return when something is due: expiry, notice, end of trial or period, cancellation, retry, resumption."""
        status = subscription["status"]
        if status in ENDED or status == "paused":
            return None
        if status == "incomplete":
            return int(subscription["created"]) + INCOMPLETE_SECONDS
        moments: list[int | None] = [subscription["items"]["data"][0]["current_period_end"], subscription["cancel_at"]]
        if status == "trialing" and not self._state.hidden(subscription)["told_trial_end"]:
            moments.append(subscription["trial_end"] - NOTICE_SECONDS)
        if status == "past_due":
            invoice = self._state.objects[subscription["latest_invoice"]]
            moments.append(invoice["next_payment_attempt"])
        if subscription["pending_update"]:
            moments.append(subscription["pending_update"]["expires_at"])
        if subscription["pause_collection"]:
            moments.append(subscription["pause_collection"]["resumes_at"])
        return min(moment for moment in moments if moment is not None)

    def _step(self, subscription: dict[str, Any]) -> None:
        now, hidden = self._state.now, self._state.hidden(subscription)
        pause = subscription["pause_collection"]
        if subscription["status"] == "incomplete":
            self._end(subscription, "incomplete_expired")
        elif subscription["status"] == "trialing" and not hidden["told_trial_end"]:
            hidden["told_trial_end"] = True
            self._events.emit("customer.subscription.trial_will_end", subscription)
        elif (pending := subscription["pending_update"]) and pending["expires_at"] <= now:
            self._changes.pending.expire(subscription)
        elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
            subscription["cancellation_details"]["reason"] = "cancellation_requested"
            self._changes.settle_cancellation(subscription, {"invoice_now": "true"})
            self._end(subscription, "canceled")
        elif pause and pause["resumes_at"] is not None and pause["resumes_at"] <= now:
            subscription["pause_collection"] = None
            self._events.emit("customer.subscription.updated", subscription, previous={"pause_collection": pause})
        elif subscription["items"]["data"][0]["current_period_end"] <= now:
            self._end_period(subscription)
        else:
            self._retry(subscription)
        self._state.touch(subscription)

    def _retry(self, subscription: dict[str, Any]) -> None:
        invoice = self._state.objects[subscription["latest_invoice"]]
        chosen = self._invoices.default_method(invoice)
        self._invoices.attempt(invoice, self._payments.method(chosen) if chosen else None)

    def _end_period(self, subscription: dict[str, Any]) -> None:
        if subscription["status"] == "trialing" and not self._has_method(subscription):
            behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
            if behaviour == "pause":
                self._pause(subscription)
                return
            if behaviour == "cancel":
                self._end(subscription, "canceled")
                return
        previous = {"status": subscription["status"], "latest_invoice": subscription["latest_invoice"]}
        self._start_period(subscription, subscription["items"]["data"][0]["current_period_end"])
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
        announce_invoice(self._state, subscription)
        self._events.emit("customer.subscription.updated", subscription, previous=previous)
        self._bill(subscription, reason="subscription_cycle")

    def _pause(self, subscription: dict[str, Any]) -> None:
        """docs.stripe.com/billing/subscriptions/trials#create-free-trials-without-payment."""
        reason = {"subscription": {"type": "trial_end_without_payment_method"}, "type": "subscription"}
        subscription["status_details"] = {"paused": reason | {"transitioned_at": self._state.now}}
        self._set_status(subscription, "paused")
        self._events.emit("customer.subscription.paused", subscription)

    def _has_method(self, subscription: dict[str, Any]) -> bool:
        customer = self._state.objects[subscription["customer"]]
        return bool(subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"])

    def _start_period(self, subscription: dict[str, Any], start: int) -> None:
        for item in subscription["items"]["data"]:
            item["current_period_start"] = start
            item["current_period_end"] = period_end(start, item["price"]["recurring"])
            self._state.touch(item)
        self._state.touch(subscription)

    def _bill(self, subscription: dict[str, Any], *, reason: str) -> None:
        """Open the period's invoice and collect it, unless collection is paused.

        docs.stripe.com/billing/subscriptions/pause-payment.
        """
        hidden = self._state.hidden(subscription)
        lines = [*hidden["pending_lines"], *period_lines(self._state, subscription["items"]["data"])]
        hidden["pending_lines"] = []
        behaviour = (subscription["pause_collection"] or {}).get("behavior")
        invoice = self._invoices.open(subscription, lines, reason=reason, draft=behaviour == "keep_as_draft")
        if invoice["status"] != "open":
            return
        if behaviour == "void":
            self._invoices.void(invoice)
        elif behaviour == "mark_uncollectible":
            self._invoices.give_up(invoice, reason="subscription_paused")
        elif subscription["collection_method"] == "send_invoice":
            invoice["due_date"] = self._state.now + (subscription["days_until_due"] or 0) * 86400
        else:
            chosen = self._invoices.default_method(invoice)
            self._invoices.attempt(invoice, self._payments.method(chosen) if chosen else None)


def _refuse_ended(subscription: dict[str, Any]) -> None:
    if subscription["status"] in ENDED:
        raise invalid(f"No such subscription: '{subscription['id']}'", param="id", code="resource_missing", status=404)
