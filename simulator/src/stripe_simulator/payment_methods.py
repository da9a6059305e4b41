"""Payment methods (docs.stripe.com/api/payment_methods): only Stripe's test cards and bank accounts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from stripe_simulator.cards import CARDS, Card
from stripe_simulator.errors import invalid, missing
from stripe_simulator.listing import page
from stripe_simulator.parameters import change, choice, merge_metadata, nested
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.events import Events
    from stripe_simulator.state import State


class PaymentMethods:
    """Cards and bank accounts of customers."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a payment method from a test token (docs.stripe.com/api/payment_methods/create).

        Card numbers are refused, as Stripe refuses them without a special permission
        (docs.stripe.com/testing#test-code).
        """
        choice(params, "type", {"card"}, default="card")
        card = nested(params, "card")
        if "number" in card:
            raise invalid(
                "Sending credit card numbers directly to the Stripe API is generally unsafe.", param="card[number]"
            )
        name = str(card.get("token") or "tok_visa").replace("tok_", "pm_card_", 1)
        if name not in CARDS:
            raise missing("token", str(card["token"]), param="card[token]", status=400)
        method = self._new(name)
        method["billing_details"] |= nested(params, "billing_details")
        method["metadata"] = merge_metadata({}, params)
        return method

    def find(self, method_id: str, *, param: str = "payment_method") -> dict[str, Any]:
        """Return a payment method; a documented test id makes a new one, as at Stripe."""
        if method_id in CARDS:
            return self._new(method_id)
        return self._state.get("payment_method", method_id, param=param, status=400)

    def usable(self, method_id: str, *, param: str = "payment_method") -> dict[str, Any]:
        """Return a payment method that may be used; what was detached, or used up without a customer, may not.

        docs.stripe.com/api/payment_methods/attach, docs.stripe.com/api/payment_methods/detach.
        """
        method = self.find(method_id, param=param)
        if method["customer"] is None and self._state.hidden(method).get("spent"):
            raise invalid(
                "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
                "shared with a connected account without Customer attachment, or was detached from a Customer. It may "
                "not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
                param=param,
            )
        return method

    def spend(self, method: dict[str, Any]) -> None:
        """Note that a payment method without a customer was used: once is all."""
        if method["customer"] is None:
            self._state.hidden(method)["spent"] = True
            self._state.touch(method)

    def owned(self, method_id: str, customer_id: str, *, param: str = "default_payment_method") -> dict[str, Any]:
        """Return a payment method of the customer; another's, or a test id that is nobody's yet, is refused."""
        method = None if method_id in CARDS else self.find(method_id, param=param)
        if method is None or method["customer"] != customer_id:
            raise invalid(
                f"The customer does not have a payment method with the ID {method_id}. The payment method must be "
                "attached to the customer.",
                param=param,
                code="resource_missing",
            )
        return method

    def card(self, method: dict[str, Any]) -> Card:
        """Return what the card does."""
        return CARDS[self._state.hidden(method)["card"]]

    def _new(self, name: str) -> dict[str, Any]:
        card = CARDS[name]
        method = shape("payment_method") | {
            "id": self._state.new_id("pm"),
            "created": self._state.now,
            "livemode": self._state.livemode,
        }
        fingerprint = hashlib.sha256(f"{card.brand} {card.last4}".encode()).hexdigest()[:16]  # of the number
        if card.type == "card":
            method["card"] |= {
                "brand": card.brand,
                "display_brand": card.brand,
                "fingerprint": fingerprint,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
            }
        else:
            del method["card"]
            method |= {"type": card.type, card.type: _bank_account(card.last4, fingerprint)}
        return self._state.add(method, card=name)

    def update(self, method: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change billing details, expiry, metadata (docs.stripe.com/api/payment_methods/update)."""
        if method["customer"] is None:
            raise invalid("You must save this PaymentMethod to a customer before you can update it.")
        previous = change(method, params, ("allow_redisplay",))
        method["billing_details"] |= nested(params, "billing_details")
        card = nested(params, "card")
        if card and method["type"] != "card":
            raise invalid("You cannot update `card` on a PaymentMethod that is no card.", param="card")
        if card:
            method["card"] |= {name: int(card[name]) for name in ("exp_month", "exp_year") if name in card}
        self._state.touch(method)
        self._events.emit("payment_method.updated", method, previous=previous)
        return method

    def attach(self, method_id: str, customer_id: str) -> dict[str, Any]:
        """Attach to a customer; the bank may refuse (docs.stripe.com/testing#declined-payments)."""
        customer = self._state.get("customer", customer_id, param="customer", status=400)
        method = self.usable(method_id)
        card = self.card(method)
        if not card.attaches:
            self._state.remove(method)
            raise card.refusal()
        if method["customer"] not in {None, customer["id"]}:
            raise invalid("The payment method you provided has already been attached to a customer.")
        self.bind(method, customer["id"])
        return method

    def bind(self, method: dict[str, Any], customer_id: str) -> None:
        """Note the customer of a payment method."""
        if method["customer"] == customer_id:
            return
        method["customer"] = customer_id
        self._state.touch(method)
        self._events.emit("payment_method.attached", method)

    def detach(self, method: dict[str, Any]) -> dict[str, Any]:
        """Detach for good (docs.stripe.com/api/payment_methods/detach); it can never be used again."""
        if method["customer"] is None:
            raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
        previous = {"customer": method["customer"]}
        customer = self._state.objects[method["customer"]]
        method["customer"] = None
        self.spend(method)
        self._events.emit("payment_method.detached", method, previous=previous)
        settings = customer.get("invoice_settings") or {}  # a deleted one has none
        if settings.get("default_payment_method") == method["id"]:
            told = {"invoice_settings": dict(settings)}
            settings["default_payment_method"] = None
            self._state.touch(customer)
            self._events.emit("customer.updated", customer, previous=told)
        return method

    def detach_all(self, customer: dict[str, Any]) -> None:
        """Detach what a customer has who is deleted."""
        for method in self._state.all("payment_method"):
            if method["customer"] == customer["id"]:
                self.detach(method)

    def renew(self, method: dict[str, Any]) -> dict[str, Any]:
        """Do what the card's network does when the bank sends a new card.

        docs.stripe.com/payments/cards/overview#automatic-card-updates.
        """
        card = method.get("card")
        if card is None:
            raise invalid("No network sends a new bank account.")
        previous = {"card": dict(card)}
        card["exp_year"] += 3
        self._state.touch(method)
        self._events.emit("payment_method.automatically_updated", method, previous=previous)
        return method

    def find_all(self, params: dict[str, Any], *, customer: str | None = None) -> dict[str, Any]:
        """List a customer's (docs.stripe.com/api/payment_methods/list and …/customer_list).

        Without a customer the list is that of Treasury, which there is none of here: it shows nobody's.
        """
        owner = customer or params.get("customer")
        kind, redisplay = params.get("type"), params.get("allow_redisplay")
        url = f"/v1/customers/{customer}/payment_methods" if customer else "/v1/payment_methods"

        def keep(method: dict[str, Any]) -> bool:
            wanted = {"customer": owner, "type": kind or method["type"]}
            wanted["allow_redisplay"] = redisplay or method["allow_redisplay"]
            return bool(owner) and all(method[name] == value for name, value in wanted.items())

        return page(self._state, "payment_method", params, url=url, keep=keep)


def _bank_account(last4: str, fingerprint: str) -> dict[str, Any]:
    """docs.stripe.com/api/payment_methods/object#payment_method_object-us_bank_account."""
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint,
        "last4": last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }
