"""Payment intents (docs.stripe.com/api/payment_intents): one attempt after another until a charge succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import StripeFault, invalid
from stripe_simulator.forms import flag
from stripe_simulator.parameters import change, choice, integer, merge_metadata, require
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_simulator.charges import Charges
    from stripe_simulator.events import Events
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State

ENDED = frozenset({"succeeded", "canceled"})
CANCELABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"})


class Payments:
    """The life of payment intents (docs.stripe.com/payments/paymentintents/lifecycle)."""

    def __init__(self, state: State, events: Events, methods: PaymentMethods, charges: Charges) -> None:
        self._state = state
        self._events = events
        self._methods = methods
        self._charges = charges
        self.after_charge: Callable[[dict[str, Any], dict[str, Any]], None] = _nothing

    def method(self, method_id: str, *, param: str = "payment_method") -> dict[str, Any]:
        """Return a payment method that may be used."""
        return self._methods.usable(method_id, param=param)

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create an intent, and confirm it when asked (docs.stripe.com/api/payment_intents/create)."""
        require(params, "amount", "currency")
        amount = integer(params, "amount", least=1, most=99_999_999) or 0
        if params.get("customer"):
            self._state.referenced("customer", params, "customer")
        capture = choice(params, "capture_method", {"automatic", "automatic_async", "manual"}, default="automatic")
        metadata = merge_metadata({}, params)
        method = self.method(params["payment_method"]) if params.get("payment_method") else None
        if flag(params.get("confirm")) and method is None:
            raise _without_method()
        intent = self.new(
            amount=amount,
            currency=str(params["currency"]).lower(),
            customer=params.get("customer") or None,
            description=params.get("description") or None,
        )
        intent |= {
            "capture_method": capture,
            "metadata": metadata,
            "receipt_email": params.get("receipt_email") or None,
            "setup_future_usage": params.get("setup_future_usage") or None,
        }
        if method is not None:
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
        self._events.emit("payment_intent.created", intent)
        if flag(params.get("confirm")):
            self.confirm_call(intent, params)
        return intent

    def new(
        self, *, amount: int, currency: str, customer: str | None, description: str | None, **hidden: Any
    ) -> dict[str, Any]:
        """Store a new intent; the caller emits its event."""
        intent_id = self._state.new_id("pi")
        intent = shape("payment_intent") | {
            "id": intent_id,
            "amount": amount,
            "client_secret": f"{intent_id}_secret_{random_text(24)}",
            "created": self._state.real_now,
            "currency": currency,
            "customer": customer,
            "description": description,
            "livemode": self._state.livemode,
        }
        return self._state.add(intent, **hidden)

    def update(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change an intent that has not ended (docs.stripe.com/api/payment_intents/update)."""
        if intent["status"] in ENDED:
            raise _unexpected(intent, "updated")
        change(intent, params, ("description", "receipt_email", "setup_future_usage", "customer"))
        if "amount" in params:
            intent["amount"] = integer(params, "amount", least=1)
        if params.get("payment_method"):
            method = self.method(params["payment_method"])
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
        self._state.touch(intent)
        return intent

    def confirm_call(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Confirm by API: a declined card is an error (docs.stripe.com/api/payment_intents/confirm)."""
        if intent["status"] in ENDED or intent["status"] == "requires_capture":
            raise _unexpected(intent, "confirmed")
        chosen = params.get("payment_method") or intent["payment_method"]
        if not chosen:
            raise _without_method()
        method = self.method(chosen)
        if self.confirm(intent, method) == "requires_payment_method":
            raise self._methods.card(method).refusal(payment_intent=intent, charge=intent["latest_charge"])
        return intent

    def confirm(self, intent: dict[str, Any], method: dict[str, Any], *, authenticated: bool = False) -> str:
        """Try to charge; return the intent's new status. A paid intent is never charged again."""
        if intent["status"] in ENDED:
            return str(intent["status"])
        intent["payment_method"] = method["id"]
        card = self._methods.card(method)
        if card.authenticates and not authenticated:
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
            self._events.emit("payment_intent.requires_action", intent)
        elif card.decline is not None:
            self._decline(intent, method)
        else:
            self._charge(intent, method)
        self._state.touch(intent)
        return str(intent["status"])

    def authenticate(self, intent: dict[str, Any], *, succeeds: bool) -> str:
        """Do what the customer does in the bank's window (docs.stripe.com/payments/3d-secure)."""
        if intent["status"] != "requires_action":
            raise _unexpected(intent, "authenticated")
        method = self.method(intent["payment_method"])
        if succeeds:
            return self.confirm(intent, method, authenticated=True)
        error = invalid(
            "We are unable to authenticate your payment method. Please choose a different payment method and try "
            "again.",
            code="payment_intent_authentication_failure",
        ).body["error"]
        intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
        intent["last_payment_error"] = error | {"payment_method": method}
        self._state.touch(intent)
        self._events.emit("payment_intent.payment_failed", intent)
        return "requires_payment_method"

    def _charge(self, intent: dict[str, Any], method: dict[str, Any]) -> None:
        manual = intent["capture_method"] == "manual"
        charge = self._charges.succeed(intent, method, capture=not manual)
        intent |= {"latest_charge": charge["id"], "next_action": None, "last_payment_error": None}
        if intent["setup_future_usage"] and intent["customer"]:
            self._methods.bind(method, intent["customer"])
        self._methods.spend(method)
        if manual:
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self._events.emit("payment_intent.amount_capturable_updated", intent)
            return
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        self._events.emit("payment_intent.succeeded", intent)
        self.after_charge(charge, method)

    def _decline(self, intent: dict[str, Any], method: dict[str, Any]) -> None:
        card = self._methods.card(method)
        charge = self._charges.fail(intent, method, card)
        intent |= {
            "status": "requires_payment_method",
            "latest_charge": charge["id"],
            "payment_method": None,
            "next_action": None,
            "last_payment_error": card.refusal(charge=charge["id"], payment_method=method).body["error"],
        }
        self._events.emit("payment_intent.payment_failed", intent)

    def capture(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Take a reserved amount, or less of it (docs.stripe.com/api/payment_intents/capture)."""
        if intent["status"] != "requires_capture":
            raise _unexpected(intent, "captured")
        amount = integer(params, "amount_to_capture", default=intent["amount"], least=1, most=intent["amount"])
        assert amount is not None
        self._charges.capture(self._state.objects[intent["latest_charge"]], amount)
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        self._state.touch(intent)
        self._events.emit("payment_intent.succeeded", intent)
        return intent

    def cancel(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Cancel an intent that took no money (docs.stripe.com/api/payment_intents/cancel)."""
        if intent["status"] not in CANCELABLE:
            raise _unexpected(intent, "canceled")
        intent |= {
            "status": "canceled",
            "amount_capturable": 0,
            "canceled_at": self._state.real_now,
            "cancellation_reason": params.get("cancellation_reason") or None,
            "next_action": None,
        }
        self._state.touch(intent)
        self._events.emit("payment_intent.canceled", intent)
        return intent


def _without_method() -> StripeFault:
    return invalid(
        "You cannot confirm this PaymentIntent because it's missing a payment method.",
        code="payment_intent_unexpected_state",
    )


def _unexpected(intent: dict[str, Any], done: str) -> StripeFault:
    """docs.stripe.com/error-codes#payment-intent-unexpected-state."""
    return StripeFault(
        400,
        "invalid_request_error",
        f"This PaymentIntent could not be {done} because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def _nothing(*_: Any) -> None:
    """Stand in until the world connects the parts."""
