"""Which call does what: Stripe's paths and the simulator's functions behind them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from payment_service.simulator.billing import Billing
from payment_service.simulator.catalog import Catalog
from payment_service.simulator.errors import StripeFault, invalid
from payment_service.simulator.forms import flag
from payment_service.simulator.payments import Payments
from payment_service.simulator.rendering import page, render

if TYPE_CHECKING:
    from payment_service.simulator.events import Events
    from payment_service.simulator.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """One request after parsing."""

    params: dict[str, Any]
    object_id: str
    path: str


Handler = Callable[[Call], dict[str, Any]]
COLLECTIONS: Final = {
    "customers": "customer",
    "payment_methods": "payment_method",
    "products": "product",
    "prices": "price",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "setup_intents": "setup_intent",
    "charges": "charge",
    "events": "event",
    "webhook_endpoints": "webhook_endpoint",
}
_FILTERS: Final = ("customer", "email", "type", "payment_intent")


class Routes:
    """The calls that the simulator answers."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events
        self.payments = Payments(state, events)
        self.billing = Billing(state, events, self.payments)
        self.catalog = Catalog(state, events)
        self._exact: dict[tuple[str, str], Handler] = self._build()

    def find(self, method: str, path: str) -> tuple[Handler, str]:
        """Return the function for a call and the id in its path.

        Raises:
            StripeFault: there is no such call.
        """
        parts = path.removeprefix("/v1/").split("/")
        shape = "/".join("{id}" if index == 1 else part for index, part in enumerate(parts))
        handler = self._exact.get((method, shape))
        if handler is None:
            raise StripeFault(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")
        return handler, parts[1] if len(parts) > 1 else ""

    def _build(self) -> dict[tuple[str, str], Handler]:
        routes: dict[tuple[str, str], Handler] = {}
        for collection, kind in COLLECTIONS.items():
            routes["GET", collection] = self._lister(collection, kind)
            routes["GET", f"{collection}/{{id}}"] = self._reader(kind)
        creating: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "customers": self.catalog.create_customer,
            "products": self.catalog.create_product,
            "prices": self.catalog.create_price,
            "payment_methods": self.payments.create_method,
            "subscriptions": self.billing.create,
        }
        for collection, create in creating.items():
            routes["POST", collection] = self._creator(create)
        return routes | self._changing() | self._account()

    def _changing(self) -> dict[tuple[str, str], Handler]:
        state, show = self._state, self._show
        return {
            ("POST", "customers/{id}"): lambda call: show(
                self.catalog.update_customer(state.get("customer", call.object_id), call.params), call
            ),
            ("DELETE", "customers/{id}"): lambda call: self.catalog.delete_customer(
                state.get("customer", call.object_id)
            ),
            ("POST", "payment_methods/{id}/attach"): lambda call: show(
                self.payments.attach(call.object_id, call.params.get("customer", "")), call
            ),
            ("POST", "subscriptions/{id}"): lambda call: show(
                self.billing.update(state.get("subscription", call.object_id), call.params), call
            ),
            ("DELETE", "subscriptions/{id}"): lambda call: show(
                self.billing.cancel(state.get("subscription", call.object_id)), call
            ),
            ("POST", "invoices/{id}/pay"): lambda call: show(
                self.billing.pay(state.get("invoice", call.object_id), call.params), call
            ),
            ("POST", "payment_intents/{id}/confirm"): self._confirm,
            ("POST", "webhook_endpoints"): self._create_endpoint,
            ("POST", "webhook_endpoints/{id}"): lambda call: show(
                self._events.update_endpoint(state.get("webhook_endpoint", call.object_id), call.params), call
            ),
            ("DELETE", "webhook_endpoints/{id}"): self._delete_endpoint,
        }

    def _account(self) -> dict[tuple[str, str], Handler]:
        amounts = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
        balance = {"object": "balance", "available": amounts, "pending": amounts, "livemode": self._state.livemode}
        account = {"id": "acct_simulator", "object": "account", "country": "US", "default_currency": "usd"}
        return {
            ("GET", "balance"): lambda _: balance,
            ("GET", "account"): lambda _: account,
        }

    def _show(self, obj: dict[str, Any], call: Call) -> dict[str, Any]:
        return render(self._state, obj, expand=call.params.get("expand", []))

    def _creator(self, create: Callable[[dict[str, Any]], dict[str, Any]]) -> Handler:
        return lambda call: self._show(create(call.params), call)

    def _reader(self, kind: str) -> Handler:
        return lambda call: self._show(self._state.get(kind, call.object_id), call)

    def _lister(self, collection: str, kind: str) -> Handler:
        def answer(call: Call) -> dict[str, Any]:
            return page(self._state, self._filtered(kind, call.params), call.params, url=f"/v1/{collection}")

        return answer

    def _filtered(self, kind: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        if kind == "price":
            return self.catalog.find_prices(params)
        found = self._state.all(kind)
        for name in _FILTERS:
            if name in params:
                found = [obj for obj in found if obj.get(name) == params[name]]
        if kind == "subscription":
            wanted = params.get("status")
            found = [obj for obj in found if wanted in {"all", obj["status"]} or _is_open(obj, wanted)]
        if types := params.get("types"):
            found = [obj for obj in found if obj["type"] in types]
        if kind == "event" and params.get("delivery_success") is not None:
            delivered = flag(params["delivery_success"])
            found = [obj for obj in found if (not obj["_undelivered"]) == delivered]
        for sign, bound in (params.get("created") or {}).items():
            found = [obj for obj in found if _compare(obj["created"], sign, int(bound))]
        return found

    def _confirm(self, call: Call) -> dict[str, Any]:
        """Confirm as the customer's client does, authentication passed (docs.stripe.com/payments/3d-secure)."""
        intent = self._state.get("payment_intent", call.object_id)
        method = self.payments.method(call.params.get("payment_method") or intent["payment_method"] or "")
        self.payments.confirm(intent, method, authenticated=True)
        self.billing.after_confirmation(intent)
        return self._show(intent, call)

    def _create_endpoint(self, call: Call) -> dict[str, Any]:
        endpoint = self._events.create_endpoint(call.params)
        return self._show(endpoint, call) | {"secret": endpoint["_secret"]}

    def _delete_endpoint(self, call: Call) -> dict[str, Any]:
        endpoint = self._state.get("webhook_endpoint", call.object_id)
        endpoint["status"] = "deleted"
        self._state.remove(endpoint)
        return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def _is_open(subscription: dict[str, Any], wanted: str | None) -> bool:
    """Without a status, canceled subscriptions are left out (docs.stripe.com/api/subscriptions/list)."""
    return wanted is None and subscription["status"] != "canceled"


def _compare(value: int, sign: str, bound: int) -> bool:
    comparisons = {"gt": value > bound, "gte": value >= bound, "lt": value < bound, "lte": value <= bound}
    if sign not in comparisons:
        raise invalid(f"Invalid object: {re.sub(r'[^a-z]', '', sign)}", param="created")
    return comparisons[sign]
