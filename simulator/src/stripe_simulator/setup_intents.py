"""Setup intents (docs.stripe.com/api/setup_intents): a payment method saved for later, without a charge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.parameters import change, choice, merge_metadata
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_simulator.events import Events
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State


class SetupIntents:
    """The life of setup intents (docs.stripe.com/payments/paymentintents/lifecycle)."""

    def __init__(self, state: State, events: Events, methods: PaymentMethods) -> None:
        self._state = state
        self._events = events
        self._methods = methods
        self.after_success: Callable[[dict[str, Any]], None] = _nothing

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create an intent, and confirm it when asked (docs.stripe.com/api/setup_intents/create)."""
        if params.get("customer"):
            self._state.referenced("customer", params, "customer")
        wanted = {
            "description": params.get("description") or None,
            "metadata": merge_metadata({}, params),
            "usage": choice(params, "usage", {"off_session", "on_session"}, default="off_session"),
        }
        method = (
            self._method(params["payment_method"], params.get("customer")) if params.get("payment_method") else None
        )
        if flag(params.get("confirm")) and method is None:
            raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.")
        intent = self.new(customer=params.get("customer") or None)
        intent |= wanted
        if method is not None:
            intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
        self._events.emit("setup_intent.created", intent)
        if flag(params.get("confirm")):
            self.confirm(intent, params)
        return intent

    def _method(self, method_id: str, customer: str | None) -> dict[str, Any]:
        """Return what is to be saved: nobody else's (docs.stripe.com/api/setup_intents/create)."""
        method = self._methods.usable(method_id)
        if method["customer"] not in {None, customer}:
            raise invalid(
                "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a "
                "Customer first.",
                param="payment_method",
            )
        return method

    def new(self, *, customer: str | None, **hidden: Any) -> dict[str, Any]:
        """Store a new intent; the caller emits its event."""
        intent_id = self._state.new_id("seti")
        intent = shape("setup_intent") | {
            "id": intent_id,
            "client_secret": f"{intent_id}_secret_{random_text(24)}",
            "created": self._state.real_now,
            "customer": customer,
            "livemode": self._state.livemode,
        }
        return self._state.add(intent, **hidden)

    def update(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change an intent (docs.stripe.com/api/setup_intents/update)."""
        change(intent, params, ("description", "customer"))
        if params.get("payment_method"):
            intent["payment_method"] = self._method(params["payment_method"], intent["customer"])["id"]
            intent["status"] = "requires_confirmation"
        self._state.touch(intent)
        return intent

    def confirm(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Save the payment method (docs.stripe.com/api/setup_intents/confirm); the bank may refuse or ask."""
        if intent["status"] in {"succeeded", "canceled"}:
            raise _unexpected(intent, "confirmed")
        chosen = params.get("payment_method") or intent["payment_method"]
        if not chosen:
            raise invalid(
                "You cannot confirm this SetupIntent because it's missing a payment method.",
                code="setup_intent_unexpected_state",
            )
        method = self._method(chosen, intent["customer"])
        card = self._methods.card(method)
        intent["payment_method"] = method["id"]
        self._state.touch(intent)
        if not card.attaches:
            error = card.refusal(payment_method=method)
            intent |= {"status": "requires_payment_method", "payment_method": None}
            intent["last_setup_error"] = error.body["error"]
            self._events.emit("setup_intent.setup_failed", intent)
            raise card.refusal(setup_intent=intent)
        if card.authenticates:
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
            self._events.emit("setup_intent.requires_action", intent)
            return intent
        self._succeed(intent, method)
        return intent

    def authenticate(self, intent: dict[str, Any], *, succeeds: bool) -> str:
        """Do what the customer does in the bank's window (docs.stripe.com/payments/3d-secure)."""
        if intent["status"] != "requires_action":
            raise _unexpected(intent, "authenticated")
        if succeeds:
            self._succeed(intent, self._methods.find(intent["payment_method"]))
        else:
            method = self._methods.find(intent["payment_method"])
            intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
            intent["last_setup_error"] = _not_authenticated() | {"payment_method": method}
            self._events.emit("setup_intent.setup_failed", intent)
        self._state.touch(intent)
        return str(intent["status"])

    def _succeed(self, intent: dict[str, Any], method: dict[str, Any]) -> None:
        intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
        self._state.touch(intent)
        if intent["customer"]:
            self._methods.bind(method, intent["customer"])
        self._events.emit("setup_intent.succeeded", intent)
        self.after_success(intent)

    def cancel(self, intent: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Cancel (docs.stripe.com/api/setup_intents/cancel)."""
        if intent["status"] in {"succeeded", "canceled", "processing"}:
            raise _unexpected(intent, "canceled")
        intent |= {
            "status": "canceled",
            "cancellation_reason": params.get("cancellation_reason") or None,
            "next_action": None,
        }
        self._state.touch(intent)
        self._events.emit("setup_intent.canceled", intent)
        return intent


def _unexpected(intent: dict[str, Any], done: str) -> Exception:
    """docs.stripe.com/error-codes#setup-intent-unexpected-state."""
    return invalid(
        f"You cannot have this SetupIntent {done} because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
    )


def _not_authenticated() -> dict[str, Any]:
    """docs.stripe.com/error-codes#setup-intent-authentication-failure."""
    fault = invalid(
        "The latest attempt to set up the payment method has failed because authentication failed.",
        code="setup_intent_authentication_failure",
    )
    error: dict[str, Any] = fault.body["error"]
    return error


def _nothing(*_: Any) -> None:
    """Stand in until the world connects the parts."""
