"""Refunds (docs.stripe.com/api/refunds)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid
from stripe_simulator.parameters import change, choice, integer, merge_metadata
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.balance import Balance
    from stripe_simulator.events import Events
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State

REASONS = {"duplicate", "fraudulent", "requested_by_customer"}


class Refunds:
    """Money that goes back."""

    def __init__(self, state: State, events: Events, balance: Balance, methods: PaymentMethods) -> None:
        self._state = state
        self._events = events
        self._balance = balance
        self._methods = methods

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Refund a charge, whole or in parts (docs.stripe.com/api/refunds/create).

        Never more than was taken (docs.stripe.com/error-codes#charge-already-refunded).
        """
        charge = self._charge(params)
        left = charge["amount_captured"] - charge["amount_refunded"]
        if charge["disputed"]:
            raise invalid(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
            )
        if charge["refunded"] or not left:
            raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        amount = integer(params, "amount", default=left, least=1)
        assert amount is not None
        if amount > left:
            raise invalid(
                f"Refund amount ({_money(amount, charge)}) is greater than unrefunded amount on charge "
                f"({_money(left, charge)})",
                param="amount",
            )
        if params.get("reason"):
            choice(params, "reason", REASONS, default="")
        return self._refund(charge, amount, params)

    def _charge(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("charge"):
            charge = self._state.referenced("charge", params, "charge")
        elif params.get("payment_intent"):
            intent = self._state.referenced("payment_intent", params, "payment_intent")
            if intent["status"] != "succeeded":
                raise invalid(
                    f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                    param="payment_intent",
                )
            charge = self._state.objects[intent["latest_charge"]]
        else:
            raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
        if not charge["paid"]:
            raise invalid(f"Charge {charge['id']} was not successful: it cannot be refunded.", param="charge")
        return charge

    def _refund(self, charge: dict[str, Any], amount: int, params: dict[str, Any]) -> dict[str, Any]:
        refund_id = self._state.new_id("re")
        transaction = self._balance.record(
            amount=-amount, currency=charge["currency"], source=refund_id, kind="refund", category="refund"
        )
        method = self._state.objects.get(charge["payment_method"])
        outcome = self._methods.card(method).refund if method else "succeeded"
        refund = shape("refund") | {
            "id": refund_id,
            "amount": amount,
            "balance_transaction": transaction["id"],
            "charge": charge["id"],
            "created": self._state.real_now,
            "currency": charge["currency"],
            "metadata": merge_metadata({}, params),
            "payment_intent": charge["payment_intent"],
            "reason": params.get("reason") or None,
            "status": "pending" if outcome == "pending" else "succeeded",
        }
        self._state.add(refund)
        before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self._state.touch(charge)
        self._events.emit("refund.created", refund)
        self._events.emit("charge.refunded", charge, previous=before)
        if outcome == "failed":
            self.fail(refund)
        return refund

    def fail(self, refund: dict[str, Any]) -> None:
        """Let the bank return the money: the charge is not refunded then (docs.stripe.com/refunds#failed-refunds)."""
        transaction = self._balance.record(
            amount=refund["amount"],
            currency=refund["currency"],
            source=refund["id"],
            kind="refund_failure",
            category="refund_failure",
        )
        refund |= {
            "status": "failed",
            "failure_balance_transaction": transaction["id"],
            "failure_reason": "expired_or_canceled_card",
        }
        charge = self._state.objects[refund["charge"]]
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        self._state.touch(refund)
        self._state.touch(charge)
        self._events.emit("refund.failed", refund)
        self._events.emit("charge.refund.updated", refund)

    def update(self, refund: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change metadata (docs.stripe.com/api/refunds/update)."""
        previous = change(refund, params, ())
        self._state.touch(refund)
        self._events.emit("refund.updated", refund, previous=previous)
        return refund


def _money(amount: int, charge: dict[str, Any]) -> str:
    return f"{amount / 100:.2f} {charge['currency'].upper()}"
