"""Payment methods, payment intents, charges: what a card does, and the money that moves.

Test payment methods behave as documented (docs.stripe.com/testing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.errors import declined, invalid, missing
from payment_service.simulator.state import random_text

if TYPE_CHECKING:
    from payment_service.simulator.events import Events
    from payment_service.simulator.state import State

TEST_METHODS = {
    "pm_card_visa": ("succeeds", "visa", "4242"),
    "pm_card_mastercard": ("succeeds", "mastercard", "4444"),
    "pm_card_authenticationRequired": ("authenticates", "visa", "3184"),
    "pm_card_chargeCustomerFail": ("declines", "visa", "0341"),
    "pm_card_visa_chargeDeclined": ("refuses", "visa", "0002"),
    "pm_card_chargeDeclined": ("refuses", "visa", "0002"),
    "pm_card_chargeDeclinedInsufficientFunds": ("refuses_insufficient_funds", "visa", "9995"),
}


class Payments:
    """Cards and charges."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events

    def create_method(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a payment method (docs.stripe.com/api/payment_methods/create); test cards only."""
        token = (params.get("card") or {}).get("token", "pm_card_visa").replace("tok_", "pm_card_")
        return self._new_method(token)

    def method(self, method_id: str, *, param: str = "payment_method") -> dict[str, Any]:
        """Return a payment method; a documented test id makes a new one, as Stripe does."""
        if method_id in TEST_METHODS:
            return self._new_method(method_id)
        found = self._state.by_kind.get("payment_method", {}).get(method_id)
        if found is None:
            raise missing("PaymentMethod", method_id, param=param)
        return found

    def _new_method(self, test_id: str) -> dict[str, Any]:
        behaviour, brand, last4 = TEST_METHODS.get(test_id, TEST_METHODS["pm_card_visa"])
        return self._state.add(
            {
                "id": self._state.new_id("pm"),
                "object": "payment_method",
                "allow_redisplay": "unspecified",
                "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
                "card": {
                    "brand": brand,
                    "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": None},
                    "country": "US",
                    "display_brand": brand,
                    "exp_month": 12,
                    "exp_year": 2034,
                    "fingerprint": random_text(16),
                    "funding": "credit",
                    "generated_from": None,
                    "last4": last4,
                    "networks": {"available": [brand], "preferred": None},
                    "regulated_status": "unregulated",
                    "three_d_secure_usage": {"supported": True},
                    "wallet": None,
                },
                "created": self._state.now,
                "customer": None,
                "livemode": self._state.livemode,
                "metadata": {},
                "type": "card",
                "_behaviour": behaviour,
            }
        )

    def attach(self, method_id: str, customer_id: str) -> dict[str, Any]:
        """Attach to a customer; the bank may refuse at once (docs.stripe.com/testing#declined-payments)."""
        customer = self._state.get("customer", customer_id, param="customer")
        method = self.method(method_id)
        if method["_behaviour"] == "refuses":
            raise declined("generic_decline")
        if method["_behaviour"] == "refuses_insufficient_funds":
            raise declined("insufficient_funds", message="Your card has insufficient funds.")
        if method["customer"] not in {None, customer["id"]}:
            raise invalid("The payment method is attached to another customer.", param="payment_method")
        method["customer"] = customer["id"]
        self._state.touch(method)
        self._events.emit("payment_method.attached", method)
        return method

    def create_intent(
        self, *, amount: int, currency: str, customer: str, invoice: str, description: str
    ) -> dict[str, Any]:
        """Create the payment intent of an invoice (docs.stripe.com/api/payment_intents/object)."""
        intent_id = self._state.new_id("pi")
        intent = self._state.add(
            {
                "id": intent_id,
                "object": "payment_intent",
                "amount": amount,
                "amount_capturable": 0,
                "amount_received": 0,
                "canceled_at": None,
                "cancellation_reason": None,
                "capture_method": "automatic",
                "client_secret": f"{intent_id}_secret_{random_text(25)}",
                "confirmation_method": "automatic",
                "created": self._state.now,
                "currency": currency,
                "customer": customer,
                "description": description,
                "last_payment_error": None,
                "latest_charge": None,
                "livemode": self._state.livemode,
                "metadata": {},
                "next_action": None,
                "payment_method": None,
                "payment_method_types": ["card"],
                "setup_future_usage": "off_session",
                "status": "requires_payment_method",
                "_invoice": invoice,
            }
        )
        self._events.emit("payment_intent.created", intent)
        return intent

    def confirm(self, intent: dict[str, Any], method: dict[str, Any], *, authenticated: bool = False) -> str:
        """Try to charge; return the intent's new status. A paid intent is never charged again."""
        if intent["status"] in {"succeeded", "canceled"}:
            return str(intent["status"])
        intent["payment_method"] = method["id"]
        behaviour = method["_behaviour"]
        if behaviour == "authenticates" and not authenticated:
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
            self._events.emit("payment_intent.requires_action", intent)
        elif behaviour in {"declines", "refuses", "refuses_insufficient_funds"}:
            self._decline(intent, method)
        else:
            self._charge(intent, method)
        self._state.touch(intent)
        return str(intent["status"])

    def _charge(self, intent: dict[str, Any], method: dict[str, Any]) -> None:
        charge = self._new_charge(intent, method, paid=True)
        intent |= {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "latest_charge": charge["id"],
            "next_action": None,
            "last_payment_error": None,
        }
        self._events.emit("charge.succeeded", charge)
        self._events.emit("payment_intent.succeeded", intent)

    def _decline(self, intent: dict[str, Any], method: dict[str, Any]) -> None:
        charge = self._new_charge(intent, method, paid=False)
        error = declined("generic_decline").body["error"]
        intent |= {
            "status": "requires_payment_method",
            "latest_charge": charge["id"],
            "payment_method": None,
            "last_payment_error": {**error, "charge": charge["id"]},
        }
        self._events.emit("charge.failed", charge)
        self._events.emit("payment_intent.payment_failed", intent)

    def _new_charge(self, intent: dict[str, Any], method: dict[str, Any], *, paid: bool) -> dict[str, Any]:
        return self._state.add(
            {
                "id": self._state.new_id("ch"),
                "object": "charge",
                "amount": intent["amount"],
                "amount_captured": intent["amount"] if paid else 0,
                "amount_refunded": 0,
                "captured": paid,
                "created": self._state.now,
                "currency": intent["currency"],
                "customer": intent["customer"],
                "description": intent["description"],
                "disputed": False,
                "failure_code": None if paid else "card_declined",
                "failure_message": None if paid else "Your card was declined.",
                "livemode": self._state.livemode,
                "metadata": {},
                "paid": paid,
                "payment_intent": intent["id"],
                "payment_method": method["id"],
                "refunded": False,
                "status": "succeeded" if paid else "failed",
            }
        )
