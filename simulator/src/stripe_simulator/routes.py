"""Which call does what: Stripe's addresses, the parameters that each takes, and the permission that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import StripeFault
from stripe_simulator.parameters import check_known
from stripe_simulator.rendering import ON_REQUEST, not_expandable, render
from stripe_simulator.shapes import has_shape, shape

if TYPE_CHECKING:
    from stripe_simulator.state import State
    from stripe_simulator.world import World

PERMISSIONS: Final = {
    "account": "accounts_kyc_basic",
    "accounts": "accounts_kyc_basic",
    "balance": "balance",
    "balance_transactions": "balance_transaction_source",
    "charges": "charge",
    "checkout.sessions": "checkout_session",
    "coupons": "coupon",
    "customers": "customer",
    "disputes": "dispute",
    "events": "event",
    "invoice_payments": "invoice",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "prices": "plan",
    "products": "product",
    "refunds": "charge",
    "setup_intents": "setup_intent",
    "subscription_items": "subscription",
    "subscriptions": "subscription",
    "webhook_endpoints": "webhook",
}
"""The resource in a restricted key's permission (docs.stripe.com/keys/restricted-api-keys)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request after parsing."""

    params: dict[str, Any]
    object_id: str


Handler = Callable[[Call], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation."""

    handler: Handler
    accepts: frozenset[str]
    permission: str

    def run(self, call: Call) -> dict[str, Any]:
        """Check the names of the parameters and do the call."""
        if call.params:
            check_known(call.params, self.accepts)
        return self.handler(call)


class Table:
    """The operations of one world, by method and shape of the path."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.routes: dict[tuple[str, str], Route] = {}

    def add(self, method: str, shape: str, handler: Handler, accepts: str = "") -> None:
        """Add an operation that answers as it is."""
        collection = shape.partition("/")[0]
        permission = f"{PERMISSIONS[collection]}_{'read' if method == 'GET' else 'write'}"
        self.routes[method, shape] = Route(handler, frozenset([*accepts.split(), "expand"]), permission)

    def show(self, method: str, address: str, handler: Handler, accepts: str = "") -> None:
        """Add an operation that answers an object, expanded as asked."""
        state, known = self._state, _members(address.partition("/")[0].removesuffix("s"))

        def shown(call: Call) -> dict[str, Any]:
            expand = call.params.get("expand")
            for path in expand or ():
                if known and path.partition(".")[0] not in known:
                    raise not_expandable(path)
            made = handler(call)
            return render(state, made, expand=expand) if expand else made

        self.add(method, address, shown, accepts)

    def read(self, collection: str, kind: str) -> None:
        """Add the retrieval of an object by its id."""
        self.show("GET", f"{collection}/{{id}}", lambda call: self._state.get(kind, call.object_id))

    def change(
        self,
        collection: str,
        kind: str,
        done: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
        accepts: str = "",
        *,
        action: str = "",
        method: str = "POST",
    ) -> None:
        """Add an operation on an object: `POST /collection/{id}/action`."""
        shape = f"{collection}/{{id}}" + (f"/{action}" if action else "")
        self.show(method, shape, lambda call: done(self._state.get(kind, call.object_id), call.params), accepts)

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """Return the operation of a call and the id in its path.

        Raises:
            StripeFault: there is no such call (docs.stripe.com/error-codes#url-invalid).
        """
        parts = path.removeprefix("/v1/").split("/")
        if parts[0] == "checkout" and len(parts) > 1:
            parts = [f"checkout.{parts[1]}", *parts[2:]]
        exact = self.routes.get((method, "/".join(parts)))
        if exact is not None:
            return exact, ""
        shape = "/".join("{id}" if index == 1 else part for index, part in enumerate(parts))
        route = self.routes.get((method, shape))
        if route is None or not path.startswith("/v1/"):
            raise StripeFault(
                404,
                "invalid_request_error",
                f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
                "https://support.stripe.com/.",
            )
        return route, parts[1] if len(parts) > 1 else ""


@cache
def _members(kind: str) -> frozenset[str]:
    """Return what can be named in `expand` of a kind: checked before the call, so that a wrong name changes nothing."""
    name = kind.replace(".", "_")
    return (
        frozenset(shape(name)) | {member for of, member in ON_REQUEST if of == kind} if has_shape(name) else frozenset()
    )


def build_table(world: World) -> Table:
    """Return all operations of a world."""
    from stripe_simulator import routes_billing, routes_payments  # noqa: PLC0415 - they use this module

    table = Table(world.state)
    routes_payments.add(table, world)
    routes_billing.add(table, world)
    return table
