"""Subscriptions and their invoices.

Behaviour as documented at docs.stripe.com/billing/subscriptions/overview: `allow_incomplete` charges at once and leaves
the subscription incomplete when that fails; `default_incomplete` waits for the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.errors import StripeFault, declined, invalid
from payment_service.simulator.forms import flag
from payment_service.simulator.invoices import invoice_object, invoice_payment, subscription_object
from payment_service.simulator.periods import period_end
from payment_service.simulator.state import random_text

if TYPE_CHECKING:
    from payment_service.simulator.events import Events
    from payment_service.simulator.payments import Payments
    from payment_service.simulator.state import State

ENDED = frozenset({"canceled", "incomplete_expired"})
INCOMPLETE_SECONDS = 23 * 3600


class Billing:
    """The life of subscriptions."""

    def __init__(self, state: State, events: Events, payments: Payments) -> None:
        self._state = state
        self._events = events
        self._payments = payments

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a subscription (docs.stripe.com/api/subscriptions/create)."""
        customer = self._state.get("customer", params.get("customer", ""), param="customer")
        items = params.get("items") or []
        if not items:
            raise invalid("Missing required param: items.", param="items", code="parameter_missing")
        priced = [
            (self._state.get("price", item.get("price", ""), param="items[0][price]"), int(item.get("quantity", 1)))
            for item in items
        ]
        method = self._default_method(customer, params)
        if params.get("trial_period_days"):
            trial_end = self._state.now + int(params["trial_period_days"]) * 86400
        else:
            trial_end = None
        subscription = subscription_object(
            self._state,
            customer=customer["id"],
            priced=priced,
            start=self._state.now,
            end=trial_end or period_end(self._state.now, priced[0][0]["recurring"]),
            trial_end=trial_end,
            method=method["id"] if method else None,
            metadata=params.get("metadata", {}),
        )
        self._state.add(subscription)
        amount = 0 if trial_end else sum(price["unit_amount"] * quantity for price, quantity in priced)
        invoice = self._open_invoice(subscription, amount=amount, reason="subscription_create")
        subscription["latest_invoice"] = invoice["id"]
        subscription["status"] = "trialing" if trial_end else ("incomplete" if amount else "active")
        if trial_end and method is None:
            subscription["pending_setup_intent"] = self._setup_intent(customer["id"])["id"]
        self._events.emit("customer.subscription.created", subscription)
        self._first_payment(subscription, invoice, method, params.get("payment_behavior", "allow_incomplete"))
        return subscription

    def _default_method(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any] | None:
        chosen = params.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
        if not chosen:
            return None
        method = self._payments.method(chosen, param="default_payment_method")
        if method["customer"] != customer["id"]:
            raise invalid(
                "The customer does not have a payment method with the ID " + chosen + ".",
                param="default_payment_method",
                code="resource_missing",
            )
        return method

    def _first_payment(
        self, subscription: dict[str, Any], invoice: dict[str, Any], method: dict[str, Any] | None, behaviour: str
    ) -> None:
        if not invoice["amount_due"]:
            self._settle(invoice)
            return
        if behaviour == "default_incomplete":
            return
        if method is None:
            self._events.emit("invoice.payment_failed", invoice)
            return
        status = self._payments.confirm(self._intent(invoice), method)
        self._after_attempt(invoice, status)
        if behaviour == "error_if_incomplete" and subscription["status"] == "incomplete":
            raise declined("generic_decline")

    def _open_invoice(self, subscription: dict[str, Any], *, amount: int, reason: str) -> dict[str, Any]:
        invoice = invoice_object(self._state, subscription, amount=amount, reason=reason)
        self._state.add(invoice)
        self._events.emit("invoice.created", invoice)
        if amount:
            intent = self._payments.create_intent(
                amount=amount,
                currency=invoice["currency"],
                customer=invoice["customer"],
                invoice=invoice["id"],
                description="Subscription creation" if reason == "subscription_create" else "Subscription update",
            )
            payment = invoice_payment(self._state, invoice, intent["id"])
            invoice["_intent"] = intent["id"]
            invoice["confirmation_secret"] = {"client_secret": intent["client_secret"], "type": "payment_intent"}
            invoice["payments"] = {
                "object": "list",
                "data": [payment],
                "has_more": False,
                "url": f"/v1/invoice_payments?invoice={invoice['id']}",
            }
        self._events.emit("invoice.finalized", invoice)
        return invoice

    def _intent(self, invoice: dict[str, Any]) -> dict[str, Any]:
        return self._state.get("payment_intent", invoice["_intent"])

    def after_confirmation(self, intent: dict[str, Any]) -> None:
        """Follow up on an intent that a client confirmed."""
        self._after_attempt(self._state.get("invoice", intent["_invoice"]), intent["status"])

    def _after_attempt(self, invoice: dict[str, Any], status: str) -> None:
        invoice["attempt_count"] += 1
        invoice["attempted"] = True
        self._state.touch(invoice)
        if status == "succeeded":
            self._settle(invoice)
        elif status == "requires_action":
            self._events.emit("invoice.payment_action_required", invoice)
        else:
            self._events.emit("invoice.payment_failed", invoice)
            subscription = self._state.objects[invoice["_subscription"]]
            if subscription["status"] == "active":
                self._set_status(subscription, "past_due")

    def _settle(self, invoice: dict[str, Any]) -> None:
        """Mark an invoice as paid and its subscription as active."""
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"], "amount_remaining": 0}
        invoice["status_transitions"]["paid_at"] = self._state.now
        for payment in (invoice.get("payments") or {}).get("data", []):
            payment |= {"status": "paid", "amount_paid": invoice["amount_due"]}
        self._state.touch(invoice)
        self._events.emit("invoice.paid", invoice)
        self._events.emit("invoice.payment_succeeded", invoice)
        subscription = self._state.objects[invoice["_subscription"]]
        if subscription["status"] in {"incomplete", "past_due"}:
            self._set_status(subscription, "active")

    def _set_status(self, subscription: dict[str, Any], status: str) -> None:
        previous = {"status": subscription["status"]}
        subscription["status"] = status
        self._state.touch(subscription)
        self._events.emit("customer.subscription.updated", subscription, previous=previous)

    def pay(self, invoice: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Pay an open invoice (docs.stripe.com/api/invoices/pay); a paid one is refused."""
        if invoice["status"] == "paid":
            raise invalid("Invoice is already paid", code="invoice_already_paid")
        if invoice["status"] != "open":
            raise invalid(
                f"This invoice can no longer be paid: it is {invoice['status']}.", code="invoice_not_editable"
            )
        subscription = self._state.objects[invoice["_subscription"]]
        chosen = params.get("payment_method") or subscription["default_payment_method"]
        if not chosen:
            raise invalid("The customer has no default payment method.", code="missing_payment_method")
        status = self._payments.confirm(self._intent(invoice), self._payments.method(chosen))
        self._after_attempt(invoice, status)
        if status == "requires_action":
            raise StripeFault(
                402,
                "card_error",
                "This payment requires additional user action before it can be completed successfully.",
                code="invoice_payment_intent_requires_action",
            )
        if status != "succeeded":
            raise declined("generic_decline")
        return invoice

    def update(self, subscription: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change a subscription (docs.stripe.com/api/subscriptions/update)."""
        _refuse_ended(subscription)
        previous = {}
        if "cancel_at_period_end" in params:
            previous["cancel_at_period_end"] = subscription["cancel_at_period_end"]
            ends = flag(params["cancel_at_period_end"])
            subscription["cancel_at_period_end"] = ends
            subscription["canceled_at"] = self._state.now if ends else None
            subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"] if ends else None
        if "metadata" in params:
            previous["metadata"] = dict(subscription["metadata"])
            subscription["metadata"] |= params["metadata"]
        self._state.touch(subscription)
        self._events.emit("customer.subscription.updated", subscription, previous=previous)
        return subscription

    def cancel(self, subscription: dict[str, Any]) -> dict[str, Any]:
        """Cancel at once (docs.stripe.com/api/subscriptions/cancel); an unpaid first invoice is voided."""
        _refuse_ended(subscription)
        self._end(subscription, "canceled")
        return subscription

    def _end(self, subscription: dict[str, Any], status: str) -> None:
        invoice = self._state.objects.get(subscription["latest_invoice"] or "")
        if invoice is not None and invoice["status"] == "open":
            invoice["status"] = "void"
            self._state.touch(invoice)
            intent = self._intent(invoice)
            intent |= {"status": "canceled", "canceled_at": self._state.now}
            self._state.touch(intent)
            self._events.emit("invoice.voided", invoice)
        subscription |= {"status": status, "ended_at": self._state.now}
        subscription["canceled_at"] = subscription["canceled_at"] or self._state.now
        self._state.touch(subscription)
        kind = "customer.subscription.deleted" if status == "canceled" else "customer.subscription.updated"
        self._events.emit(kind, subscription)

    def advance(self) -> None:
        """Do what the clock makes due: expire, end trials, renew, cancel."""
        for subscription in reversed(self._state.all("subscription")):
            while subscription["status"] not in ENDED and self._advance_one(subscription):
                pass

    def _advance_one(self, subscription: dict[str, Any]) -> bool:
        """Take one due step; tell whether there was one."""
        if subscription["status"] == "incomplete":
            if self._state.now - subscription["created"] < INCOMPLETE_SECONDS:
                return False
            self._end(subscription, "incomplete_expired")
            return True
        item = subscription["items"]["data"][0]
        if self._state.now < item["current_period_end"]:
            return False
        if subscription["cancel_at_period_end"]:
            self._end(subscription, "canceled")
            return True
        self._renew(subscription)
        return True

    def _renew(self, subscription: dict[str, Any]) -> None:
        """Begin the next period with an invoice that is paid by the default payment method."""
        was = subscription["status"]
        for item in subscription["items"]["data"]:
            item["current_period_start"] = item["current_period_end"]
            item["current_period_end"] = period_end(item["current_period_start"], item["price"]["recurring"])
        subscription["status"] = "active"
        amount = sum(item["price"]["unit_amount"] * item["quantity"] for item in subscription["items"]["data"])
        invoice = self._open_invoice(subscription, amount=amount, reason="subscription_cycle")
        subscription["latest_invoice"] = invoice["id"]
        self._state.touch(subscription)
        self._events.emit("customer.subscription.updated", subscription, previous={"status": was})
        if not amount:
            self._settle(invoice)
        elif chosen := subscription["default_payment_method"]:
            status = self._payments.confirm(self._intent(invoice), self._payments.method(chosen))
            self._after_attempt(invoice, status)
        else:
            self._after_attempt(invoice, "requires_payment_method")

    def _setup_intent(self, customer: str) -> dict[str, Any]:
        intent_id = self._state.new_id("seti")
        return self._state.add(
            {
                "id": intent_id,
                "object": "setup_intent",
                "cancellation_reason": None,
                "client_secret": f"{intent_id}_secret_{random_text(25)}",
                "created": self._state.now,
                "customer": customer,
                "description": None,
                "last_setup_error": None,
                "livemode": self._state.livemode,
                "metadata": {},
                "next_action": None,
                "payment_method": None,
                "payment_method_types": ["card"],
                "status": "requires_payment_method",
                "usage": "off_session",
            }
        )


def _refuse_ended(subscription: dict[str, Any]) -> None:
    if subscription["status"] in ENDED:
        raise invalid(f"No such subscription: '{subscription['id']}'", param="id", code="resource_missing", status=404)
