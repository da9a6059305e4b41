"""Customers (docs.stripe.com/api/customers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid
from stripe_simulator.listing import in_range, page
from stripe_simulator.parameters import change, choice, integer, listed, merge_metadata, nested
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe_simulator.events import Events
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.state import State

_TEXTS = ("description", "email", "name", "phone")
_EMPTY_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


class Customers:
    """Who pays."""

    def __init__(self, state: State, events: Events, methods: PaymentMethods) -> None:
        self._state = state
        self._events = events
        self._methods = methods
        self.before_delete: Callable[[dict[str, Any]], None] = _nothing

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a customer (docs.stripe.com/api/customers/create)."""
        _check(params)
        customer = shape("customer") | {
            "id": self._state.new_id("cus"),
            "created": self._state.now,
            "invoice_prefix": random_text(8).upper(),
            "livemode": self._state.livemode,
        }
        self._state.add(customer)
        try:
            self._set(customer, params)
        except Exception:
            self._state.remove(customer)
            raise
        self._events.emit("customer.created", customer)
        return customer

    def update(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change a customer (docs.stripe.com/api/customers/update)."""
        _check(params)
        previous = self._set(customer, params)
        self._state.touch(customer)
        self._events.emit("customer.updated", customer, previous=previous)
        return customer

    def _set(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        tax_exempt = choice(params, "tax_exempt", {"none", "exempt", "reverse"}, default=customer["tax_exempt"])
        balance = integer(params, "balance", default=customer["balance"])
        chosen = self._attach(customer, params)
        previous = change(customer, params, _TEXTS)
        if "preferred_locales" in params:
            customer["preferred_locales"] = listed(params, "preferred_locales")
        if "address" in params:
            customer["address"] = _EMPTY_ADDRESS | nested(params, "address") if params["address"] else None
        if "shipping" in params:
            shipping = nested(params, "shipping")
            address = _EMPTY_ADDRESS | nested(shipping, "address")
            customer["shipping"] = shipping | {"address": address} if shipping else None
        customer |= {"tax_exempt": tax_exempt, "balance": balance}
        if "default_payment_method" in nested(params, "invoice_settings"):
            previous["invoice_settings"] = dict(customer["invoice_settings"])
            customer["invoice_settings"]["default_payment_method"] = chosen
        return previous

    def _attach(self, customer: dict[str, Any], params: dict[str, Any]) -> str | None:
        """Attach the payment method that is given, and return the id of the default that is given.

        It may be the one that is attached by the same call, also by the name of a test card
        (docs.stripe.com/api/customers/create#create_customer-payment_method).
        """
        given = params.get("payment_method")
        default = nested(params, "invoice_settings").get("default_payment_method")
        chosen: str | None = None
        if default and default != given:
            param = "invoice_settings[default_payment_method]"
            chosen = self._methods.owned(default, customer["id"], param=param)["id"]
        if given:
            method = self._methods.attach(given, customer["id"])
            self._state.touch(method)
            chosen = method["id"] if default == given else chosen
        return chosen

    def retrieve(self, customer_id: str) -> dict[str, Any]:
        """Return a customer, a deleted one too (docs.stripe.com/api/customers/delete)."""
        found = self._state.by_kind.get("customer", {}).get(customer_id)
        return found if found is not None else self._state.get("customer", customer_id)

    def delete(self, customer: dict[str, Any]) -> dict[str, Any]:
        """Delete a customer and cancel its subscriptions (docs.stripe.com/api/customers/delete).

        It cannot be used again but still be retrieved: `deleted` is then all it says.
        """
        self.before_delete(customer)
        self._methods.detach_all(customer)
        self._events.emit("customer.deleted", customer)
        gone = {"id": customer["id"], "object": "customer", "deleted": True}
        customer.clear()
        customer |= gone
        self._state.touch(customer)
        return customer

    def find(self, params: dict[str, Any]) -> dict[str, Any]:
        """List by email, letter by letter, and `created` (docs.stripe.com/api/customers/list)."""
        within, email = in_range(params), params.get("email")

        def keep(customer: dict[str, Any]) -> bool:
            return (not email or customer["email"] == email) and within(customer)

        return page(self._state, "customer", params, url="/v1/customers", keep=keep)


def _check(params: dict[str, Any]) -> None:
    email = params.get("email")
    if email and "@" not in email:
        raise invalid(f"Invalid email address: {email}", param="email", code="email_invalid")
    merge_metadata({}, params)


def _nothing(*_: Any) -> None:
    """Stand in until the world connects the parts."""
