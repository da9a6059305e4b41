"""Checkout sessions (docs.stripe.com/api/checkout/sessions): a page of Stripe's where the customer pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import invalid
from stripe_simulator.items import cost
from stripe_simulator.parameters import absent, choice, integer, listed, merge_metadata, nested, require
from stripe_simulator.shapes import shape
from stripe_simulator.state import random_text

if TYPE_CHECKING:
    from stripe_simulator.billing import Billing
    from stripe_simulator.customers import Customers
    from stripe_simulator.events import Events
    from stripe_simulator.payment_methods import PaymentMethods
    from stripe_simulator.payments import Payments
    from stripe_simulator.setup_intents import SetupIntents
    from stripe_simulator.state import State

EXPIRY_SECONDS: Final = 24 * 3600
"""docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at: from 30 minutes to 24 hours."""
LEAST_EXPIRY_SECONDS: Final = 30 * 60


class Checkout:
    """Sessions from creation to payment or expiry."""

    def __init__(
        self,
        state: State,
        events: Events,
        *,
        customers: Customers,
        methods: PaymentMethods,
        payments: Payments,
        setups: SetupIntents,
        billing: Billing,
    ) -> None:
        self._state = state
        self._events = events
        self._customers = customers
        self._methods = methods
        self._payments = payments
        self._setups = setups
        self._billing = billing
        self._open = {obj["id"] for obj in state.newest("checkout.session") if obj["status"] == "open"}

    def create(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a session (docs.stripe.com/api/checkout/sessions/create)."""
        require(params, "mode", "success_url")
        mode = choice(params, "mode", {"payment", "setup", "subscription"}, default="")
        items = self._items(params, mode)
        if params.get("customer"):
            self._state.referenced("customer", params, "customer")
        now = self._state.real_now
        expires_at = integer(
            params,
            "expires_at",
            default=now + EXPIRY_SECONDS,
            least=now + LEAST_EXPIRY_SECONDS,
            most=now + EXPIRY_SECONDS,
        )
        session_id = f"cs_{'live' if self._state.livemode else 'test'}_{random_text(58)}"
        amount = None if mode == "setup" else sum(item["amount_total"] for item in items)
        session = shape("checkout_session") | {
            "id": session_id,
            "amount_subtotal": amount,
            "amount_total": amount,
            "cancel_url": params.get("cancel_url") or None,
            "client_reference_id": params.get("client_reference_id") or None,
            "created": now,
            "currency": items[0]["currency"] if items else params.get("currency"),
            "customer": params.get("customer") or None,
            "customer_creation": None if params.get("customer") or mode == "setup" else "always",
            "customer_email": params.get("customer_email") or None,
            "expires_at": expires_at,
            "livemode": self._state.livemode,
            "metadata": merge_metadata({}, params),
            "mode": mode,
            "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
            "success_url": params["success_url"],
            "url": f"https://checkout.stripe.com/c/pay/{session_id}",
        }
        lines = {"object": "list", "data": items, "has_more": False}
        url = f"/v1/checkout/sessions/{session_id}/line_items"
        self._state.add(session, line_items=lines | {"url": url}, params=params)
        self._open.add(session_id)
        return session

    def _items(self, params: dict[str, Any], mode: str) -> list[dict[str, Any]]:
        given = listed(params, "line_items")
        if mode == "setup":
            return []
        if not given:
            raise invalid("Missing required param: line_items.", param="line_items", code="parameter_missing")
        found = []
        for index, item in enumerate(given):
            name = f"line_items[{index}]"
            price = self._state.get("price", str(item.get("price") or ""), param=f"{name}[price]", status=400)
            if price["recurring"] and mode == "payment":
                raise invalid("You must provide at least one one-time price in `payment` mode.", param=f"{name}[price]")
            metered = bool(price["recurring"]) and price["recurring"]["usage_type"] == "metered"
            if metered and not absent(item.get("quantity")):
                raise invalid(
                    "Quantity should not be specified where usage_type is `metered`.", param=f"{name}[quantity]"
                )
            quantity = None if metered else integer(item, "quantity", default=1, least=1)
            amount = cost(price, quantity)
            found.append(
                {
                    "id": self._state.new_id("li"),
                    "object": "item",
                    "adjustable_quantity": None,
                    "amount_discount": 0,
                    "amount_subtotal": amount,
                    "amount_tax": 0,
                    "amount_total": amount,
                    "currency": price["currency"],
                    "description": self._state.objects[price["product"]]["name"],
                    "metadata": {},
                    "price": price,
                    "quantity": quantity,
                }
            )
        if mode == "subscription" and not any(item["price"]["recurring"] for item in found):
            raise invalid("You must provide at least one recurring price in `subscription` mode.", param="line_items")
        return found

    def lines(self, session: dict[str, Any]) -> dict[str, Any]:
        """Return what is bought (docs.stripe.com/api/checkout/sessions/line_items)."""
        found: dict[str, Any] = self._state.hidden(session)["line_items"]
        return found

    def expire(self, session: dict[str, Any]) -> dict[str, Any]:
        """End an open session (docs.stripe.com/api/checkout/sessions/expire)."""
        if session["status"] != "open":
            raise invalid(
                f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has '
                f"a status of {session['status']}."
            )
        self._finish(session, "expired")
        self._events.emit("checkout.session.expired", session)
        return session

    def _finish(self, session: dict[str, Any], status: str) -> None:
        session |= {"status": status, "url": None}
        self._open.discard(session["id"])
        self._state.touch(session)

    def advance(self) -> None:
        """Expire what is over its time."""
        for name in list(self._open):
            session = self._state.objects[name]
            if session["expires_at"] <= self._state.real_now:
                self.expire(session)

    def complete(self, session: dict[str, Any], payment_method: str) -> dict[str, Any]:
        """Do what the customer does on the page: pay, with any test card.

        docs.stripe.com/payments/checkout/how-checkout-works. A declined card leaves the session open.
        """
        if session["status"] != "open":
            raise invalid(f"This Checkout Session is {session['status']}.")
        params = self._state.hidden(session)["params"]
        if session["customer"] is None and session["mode"] != "setup":
            session["customer"] = self._customers.create({"email": session["customer_email"] or "buyer@example.com"})[
                "id"
            ]
        method = self._methods.find(payment_method)
        if session["customer"] is not None:
            method = self._methods.attach(method["id"], session["customer"])
        if session["mode"] == "payment":
            self._pay(session, method, nested(params, "payment_intent_data"))
        elif session["mode"] == "subscription":
            self._subscribe(session, method, nested(params, "subscription_data"))
        else:
            setup = self._setups.create(
                {"customer": session["customer"], "payment_method": method["id"], "confirm": "true"}
            )
            session["setup_intent"] = setup["id"]
        customer = self._state.objects.get(session["customer"] or "", {})
        session["customer_details"] = {
            "address": None,
            "business_name": None,
            "email": customer.get("email"),
            "individual_name": None,
            "name": customer.get("name"),
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        }
        self._finish(session, "complete")
        self._events.emit("checkout.session.completed", session)
        return session

    def _pay(self, session: dict[str, Any], method: dict[str, Any], data: dict[str, Any]) -> None:
        intent = self._payments.create(
            {
                "amount": session["amount_total"],
                "currency": session["currency"],
                "customer": session["customer"],
                "payment_method": method["id"],
                "confirm": "true",
                "metadata": nested(data, "metadata"),
            }
        )
        session |= {
            "payment_intent": intent["id"],
            "payment_status": "paid" if intent["status"] == "succeeded" else "unpaid",
        }

    def _subscribe(self, session: dict[str, Any], method: dict[str, Any], data: dict[str, Any]) -> None:
        items = [
            {"price": item["price"]["id"]} | ({} if item["quantity"] is None else {"quantity": item["quantity"]})
            for item in self.lines(session)["data"]
            if item["price"]["recurring"]
        ]
        subscription = self._billing.create(
            {
                "customer": session["customer"],
                "default_payment_method": method["id"],
                "items": items,
                "payment_behavior": "error_if_incomplete",
                "metadata": nested(data, "metadata"),
                "trial_period_days": data.get("trial_period_days"),
            }
        )
        session |= {
            "invoice": subscription["latest_invoice"],
            "payment_status": "paid" if subscription["status"] == "active" else "no_payment_required",
            "subscription": subscription["id"],
        }
