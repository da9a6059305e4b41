"""Invoices of subscriptions and how they are paid (docs.stripe.com/api/invoices)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stripe_simulator.errors import StripeFault, declined, invalid
from stripe_simulator.forms import flag
from stripe_simulator.items import default_of
from stripe_simulator.parameters import change
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_simulator.coupons import Coupons
    from stripe_simulator.events import Events
    from stripe_simulator.payments import Payments
    from stripe_simulator.state import State

RETRY_DAYS: Final = (3, 5, 7)
"""docs.stripe.com/billing/revenue-recovery/smart-retries: a custom schedule; after the last the subscription ends."""


class Due(NamedTuple):
    """What lines come to."""

    subtotal: int
    taken: list[dict[str, Any]]
    total: int
    due: int


class Invoices:
    """What is owed."""

    def __init__(self, state: State, events: Events, payments: Payments, coupons: Coupons) -> None:
        self._state = state
        self._events = events
        self._payments = payments
        self._coupons = coupons
        self.on_paid: Callable[[dict[str, Any]], None] = _nothing
        self.on_unpaid: Callable[[dict[str, Any]], None] = _nothing

    def due(self, subscription: dict[str, Any], lines: list[dict[str, Any]]) -> Due:
        """Return what these lines come to: discounts first, then the customer's credit.

        docs.stripe.com/billing/customer/balance: a credit lowers what is due; what is below zero becomes credit.
        """
        customer = self._state.objects[subscription["customer"]]
        subtotal = sum(line["amount"] for line in lines)
        taken = self._coupons.amounts(subscription["discounts"], subtotal) if subscription["discounts"] else []
        total = subtotal - sum(part["amount"] for part in taken)
        return Due(subtotal, taken, total, total + customer["balance"])

    def compose(self, subscription: dict[str, Any], lines: list[dict[str, Any]], *, reason: str) -> dict[str, Any]:
        """Return an invoice of these lines that is not stored (docs.stripe.com/api/invoices/object)."""
        customer = self._state.objects[subscription["customer"]]
        subtotal, taken, total, due = self.due(subscription, lines)
        period = subscription["items"]["data"][0]
        invoice_id = self._state.hidden(subscription).pop("announced", None) or self._state.new_id("in")
        invoice = shape("invoice") | {
            "id": invoice_id,
            "amount_due": max(0, due),
            "amount_remaining": max(0, due),
            "billing_reason": reason,
            "collection_method": subscription["collection_method"],
            "created": self._state.now,
            "currency": subscription["currency"],
            "customer": customer["id"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "customer_phone": customer["phone"],
            "discounts": [part["discount"] for part in taken],
            "ending_balance": min(0, due),
            "livemode": self._state.livemode,
            "parent": {
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            },
            "period_end": period["current_period_end"],
            "period_start": period["current_period_start"],
            "starting_balance": customer["balance"],
            "subtotal": subtotal,
            "subtotal_excluding_tax": subtotal,
            "total": total,
            "total_discount_amounts": taken,
            "total_excluding_tax": total,
        }
        for line in lines:
            line["invoice"] = invoice_id
        invoice["lines"] |= {"data": lines, "url": f"/v1/invoices/{invoice_id}/lines"}
        return invoice

    def open(
        self, subscription: dict[str, Any], lines: list[dict[str, Any]], *, reason: str, draft: bool = False
    ) -> dict[str, Any]:
        """Store an invoice and finalize it; Stripe waits an hour with renewals, the simulator does not."""
        invoice = self.compose(subscription, lines, reason=reason)
        customer = self._state.objects[subscription["customer"]]
        self._state.add(invoice, subscription=subscription["id"], intent=None, confirmation_secret=None)
        subscription["latest_invoice"] = invoice["id"]
        subscription["discounts"] = self._coupons.after_invoice(subscription["discounts"])
        customer["currency"] = customer["currency"] or invoice["currency"]
        customer["balance"] = invoice["ending_balance"]
        self._state.touch(customer)
        self._events.emit("invoice.created", invoice)
        if not draft:
            self.finalize(invoice)
        return invoice

    def finalize(self, invoice: dict[str, Any]) -> dict[str, Any]:
        """Open a draft (docs.stripe.com/api/invoices/finalize): number, payment intent, client secret."""
        if invoice["status"] != "draft":
            raise invalid(
                "This invoice is already finalized, you can't finalize it again.", code="invoice_not_editable"
            )
        customer = self._state.objects[invoice["customer"]]
        sequence = customer["next_invoice_sequence"]
        customer["next_invoice_sequence"] = sequence + 1
        invoice |= {
            "effective_at": self._state.now,
            "hosted_invoice_url": f"https://invoice.stripe.com/i/{self._state.account}/{invoice['id']}",
            "invoice_pdf": f"https://pay.stripe.com/invoice/{self._state.account}/{invoice['id']}/pdf",
            "number": f"{customer['invoice_prefix']}-{sequence:04d}",
            "status": "open",
        }
        invoice["status_transitions"]["finalized_at"] = self._state.now
        if invoice["amount_due"]:
            self._open_payment(invoice)
        self._state.touch(customer)
        self._state.touch(invoice)
        self._events.emit("invoice.finalized", invoice)
        if not invoice["amount_due"]:
            self.settle(invoice)
        return invoice

    def _open_payment(self, invoice: dict[str, Any]) -> None:
        created = invoice["billing_reason"] == "subscription_create"
        intent = self._payments.new(
            amount=invoice["amount_due"],
            currency=invoice["currency"],
            customer=invoice["customer"],
            description="Subscription creation" if created else "Subscription update",
            invoice=invoice["id"],
        )
        intent["setup_future_usage"] = "off_session"
        hidden = self._state.hidden(invoice)
        hidden["intent"] = intent["id"]
        hidden["confirmation_secret"] = {"client_secret": intent["client_secret"], "type": "payment_intent"}
        payment = shape("invoice_payment") | {
            "id": self._state.new_id("inpay"),
            "amount_requested": invoice["amount_due"],
            "created": self._state.now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "livemode": self._state.livemode,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        }
        self._state.add(payment)
        hidden["payment"] = payment["id"]
        self._events.emit("payment_intent.created", intent)

    def intent(self, invoice: dict[str, Any]) -> dict[str, Any] | None:
        """Return the payment intent of an invoice."""
        return self._state.objects.get(self._state.hidden(invoice)["intent"] or "")

    def attempt(self, invoice: dict[str, Any], method: dict[str, Any] | None) -> str:
        """Charge what is due; return the intent's status."""
        intent = self.intent(invoice)
        assert intent is not None
        status = "requires_payment_method" if method is None else self._payments.confirm(intent, method)
        self.after_attempt(invoice, status)
        return status

    def after_attempt(self, invoice: dict[str, Any], status: str) -> None:
        """Note the outcome of an attempt (docs.stripe.com/billing/subscriptions/overview#payment-status)."""
        if status == "succeeded":
            invoice["attempt_count"] += 1
            self.settle(invoice)
            return
        first = not invoice["attempted"]
        invoice["attempt_count"] += 1
        invoice["attempted"] = True
        if invoice["billing_reason"] == "subscription_cycle":
            done = invoice["attempt_count"] - 1
            days = RETRY_DAYS[done] if done < len(RETRY_DAYS) else None
            invoice["next_payment_attempt"] = None if days is None else self._state.now + days * 86400
        self._state.touch(invoice)
        if status == "requires_action":
            self._events.emit("invoice.payment_action_required", invoice)
        if status != "requires_action" or not first:
            self._events.emit("invoice.payment_failed", invoice)
        self.on_unpaid(invoice)

    def settle(self, invoice: dict[str, Any]) -> None:
        """Mark an invoice as paid."""
        invoice |= {
            "amount_paid": invoice["amount_due"],
            "amount_remaining": 0,
            "attempted": True,
            "auto_advance": False,
            "next_payment_attempt": None,
            "status": "paid",
        }
        invoice["status_transitions"]["paid_at"] = self._state.now
        self._state.touch(invoice)
        payment = self._state.objects.get(self._state.hidden(invoice).get("payment") or "")
        if payment is not None:
            payment |= {"status": "paid", "amount_paid": invoice["amount_due"]}
            payment["status_transitions"]["paid_at"] = self._state.now
            self._state.touch(payment)
            self._events.emit("invoice_payment.paid", payment)
        self._events.emit("invoice.paid", invoice)
        self._events.emit("invoice.payment_succeeded", invoice)
        self.on_paid(invoice)

    def pay(self, invoice: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Pay an open invoice (docs.stripe.com/api/invoices/pay); a paid one is refused."""
        if invoice["status"] == "paid":
            raise invalid("Invoice is already paid", code="invoice_already_paid")
        if invoice["status"] == "draft":
            self.finalize(invoice)
        if invoice["status"] not in {"open", "uncollectible"}:
            raise invalid(
                f"This invoice can no longer be paid: it is {invoice['status']}.", code="invoice_not_editable"
            )
        if flag(params.get("paid_out_of_band")):
            self.settle(invoice)
            return invoice
        chosen = params.get("payment_method") or self.default_method(invoice)
        if not chosen:
            raise invalid("The customer has no default payment method.", code="missing_payment_method")
        method = self._payments.method(chosen)
        status = self.attempt(invoice, method)
        if status == "requires_action":
            raise StripeFault(
                402,
                "card_error",
                "This payment requires additional user action before it can be completed successfully.",
                code="invoice_payment_intent_requires_action",
            )
        if status != "succeeded":
            error = (self.intent(invoice) or {}).get("last_payment_error") or {}
            raise declined(
                error.get("decline_code", "generic_decline"),
                message=error.get("message", "Your card was declined."),
                code=error.get("code", "card_declined"),
            )
        return invoice

    def default_method(self, invoice: dict[str, Any]) -> str | None:
        """Return what is charged without a word: the subscription's default, else the customer's."""
        return default_of(self._state, self._state.objects[self._state.hidden(invoice)["subscription"]])

    def void(self, invoice: dict[str, Any]) -> dict[str, Any]:
        """Void an invoice that was not paid (docs.stripe.com/api/invoices/void)."""
        if invoice["status"] not in {"open", "uncollectible", "draft"}:
            raise invalid("You can only pass in open invoices. This invoice isn't open.", code="invoice_not_editable")
        self._end(invoice, "void", "voided_at")
        intent = self.intent(invoice)
        if intent is not None and intent["status"] not in {"succeeded", "canceled"}:
            self._payments.cancel(intent, {"cancellation_reason": "void_invoice"})
        self._events.emit("invoice.voided", invoice)
        return invoice

    def give_up(self, invoice: dict[str, Any], *, reason: str = "user_forgiven") -> dict[str, Any]:
        """Mark as uncollectible (docs.stripe.com/api/invoices/mark_uncollectible)."""
        if invoice["status"] not in {"open", "draft"}:
            raise invalid("You can only pass in open invoices. This invoice isn't open.", code="invoice_not_editable")
        self._end(invoice, "uncollectible", "marked_uncollectible_at")
        invoice["status_details"] = {"uncollectible": {"reason": reason}}
        self._events.emit("invoice.marked_uncollectible", invoice)
        return invoice

    def _end(self, invoice: dict[str, Any], status: str, transition: str) -> None:
        invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": status}
        invoice["status_transitions"][transition] = self._state.now
        self._state.touch(invoice)

    def update(self, invoice: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change description, metadata, automatic collection (docs.stripe.com/api/invoices/update)."""
        previous = change(invoice, params, ("description",))
        if "auto_advance" in params:
            invoice["auto_advance"] = flag(params["auto_advance"])
        self._state.touch(invoice)
        self._events.emit("invoice.updated", invoice, previous=previous)
        return invoice


def _nothing(*_: Any) -> None:
    """Stand in until the world connects the parts."""
