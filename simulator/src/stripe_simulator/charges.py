"""Charges (docs.stripe.com/api/charges): the money that a card gave, or refused to give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.balance import stripe_fee
from stripe_simulator.parameters import change
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from stripe_simulator.balance import Balance
    from stripe_simulator.cards import Card
    from stripe_simulator.events import Events
    from stripe_simulator.state import State

_APPROVED = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 20,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


class Charges:
    """Attempts to take money."""

    def __init__(self, state: State, events: Events, balance: Balance) -> None:
        self._state = state
        self._events = events
        self._balance = balance

    def succeed(self, intent: dict[str, Any], method: dict[str, Any], *, capture: bool) -> dict[str, Any]:
        """Charge the card, or only reserve the amount (docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""
        charge = self._new(intent, method)
        charge |= {"paid": True, "status": "succeeded", "outcome": _APPROVED}
        if capture:
            self._book(charge, charge["amount"])
        self._events.emit("charge.succeeded", charge)
        return charge

    def capture(self, charge: dict[str, Any], amount: int) -> None:
        """Take a reserved amount."""
        self._book(charge, amount)
        self._state.touch(charge)
        self._events.emit("charge.captured", charge)

    def _book(self, charge: dict[str, Any], amount: int) -> None:
        transaction = self._balance.record(
            amount=amount,
            currency=charge["currency"],
            source=charge["id"],
            kind="charge",
            category="charge",
            fee=stripe_fee(amount),
        )
        charge |= {"captured": True, "amount_captured": amount, "balance_transaction": transaction["id"]}

    def fail(self, intent: dict[str, Any], method: dict[str, Any], card: Card) -> dict[str, Any]:
        """Record a refused charge (docs.stripe.com/declines)."""
        charge = self._new(intent, method)
        charge |= {
            "failure_code": card.code,
            "failure_message": card.message,
            "outcome": _APPROVED
            | {
                "network_decline_code": "01",
                "network_status": "declined_by_network",
                "reason": card.decline,
                "seller_message": "The bank did not return any further details with this decline.",
                "type": "issuer_declined",
            },
        }
        self._events.emit("charge.failed", charge)
        return charge

    def _new(self, intent: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
        charge = shape("charge") | {
            "id": self._state.new_id("ch"),
            "amount": intent["amount"],
            "billing_details": method["billing_details"],
            "created": self._state.real_now,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "livemode": self._state.livemode,
            "metadata": dict(intent["metadata"]),
            "payment_intent": intent["id"],
            "payment_method": method["id"],
        }
        charge["payment_method_details"] = _details(method, intent["amount"])
        return self._state.add(charge)

    def update(self, charge: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change description and metadata (docs.stripe.com/api/charges/update)."""
        previous = change(charge, params, ("description", "receipt_email"))
        self._state.touch(charge)
        self._events.emit("charge.updated", charge, previous=previous)
        return charge


def _details(method: dict[str, Any], amount: int) -> dict[str, Any]:
    """docs.stripe.com/api/charges/object#charge_object-payment_method_details."""
    if method["type"] != "card":
        account = method[method["type"]]
        shown = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
        beside = {"expected_debit_date": None, "mandate": None, "payment_reference": None}
        return {method["type"]: {name: account[name] for name in shown} | beside, "type": method["type"]}
    card = method["card"]
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": random_text(15),
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }
