"""Products and prices (docs.stripe.com/api/products, docs.stripe.com/api/prices)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.listing import in_range, page
from stripe_simulator.parameters import (
    absent,
    change,
    choice,
    integer,
    listed,
    merge_metadata,
    nested,
    require,
)
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.customers import Customers
    from stripe_simulator.events import Events
    from stripe_simulator.state import State

INTERVALS = {"day", "week", "month", "year"}


class Catalog:
    """What is sold."""

    def __init__(self, state: State, events: Events, customers: Customers) -> None:
        self._state = state
        self._events = events
        self.create_customer = customers.create

    def create_product(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a product (docs.stripe.com/api/products/create)."""
        require(params, "name")
        if params.get("id") in self._state.objects:
            raise invalid("Product already exists.", param="id", code="resource_already_exists")
        product = self._state.add(
            shape("product")
            | {
                "id": params.get("id") or self._state.new_id("prod"),
                "active": flag(params.get("active"), default=True),
                "created": self._state.now,
                "description": params.get("description") or None,
                "livemode": self._state.livemode,
                "metadata": merge_metadata({}, params),
                "name": params["name"],
                "statement_descriptor": params.get("statement_descriptor") or None,
                "unit_label": params.get("unit_label") or None,
                "updated": self._state.now,
            }
        )
        self._events.emit("product.created", product)
        return product

    def update_product(self, product: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change a product (docs.stripe.com/api/products/update)."""
        previous = change(product, params, ("description", "statement_descriptor", "unit_label"))
        if params.get("name"):
            previous |= change(product, {"name": params["name"]}, ("name",))
        if params.get("default_price"):
            product["default_price"] = self._state.referenced("price", params, "default_price")["id"]
        if "active" in params:
            product["active"] = flag(params["active"])
        product["updated"] = self._state.now
        self._state.touch(product)
        self._events.emit("product.updated", product, previous=previous)
        return product

    def delete_product(self, product: dict[str, Any]) -> dict[str, Any]:
        """Delete a product that has no prices (docs.stripe.com/api/products/delete)."""
        if any(price["product"] == product["id"] for price in self._state.newest("price")):
            raise invalid("This product cannot be deleted because it has one or more user-created prices.")
        self._events.emit("product.deleted", product)
        self._state.remove(product)
        return {"id": product["id"], "object": "product", "deleted": True}

    def find_products(self, params: dict[str, Any]) -> dict[str, Any]:
        """List products by `active`, `ids`, `created` (docs.stripe.com/api/products/list)."""
        within, ids = in_range(params), listed(params, "ids")
        active = None if absent(params.get("active")) else flag(params["active"])

        def keep(product: dict[str, Any]) -> bool:
            return (
                (active is None or product["active"] == active)
                and (not ids or product["id"] in ids)
                and within(product)
            )

        return page(self._state, "product", params, url="/v1/products", keep=keep)

    def create_price(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a price (docs.stripe.com/api/prices/create); its amount and interval never change."""
        require(params, "currency", "unit_amount")
        amount = integer(params, "unit_amount", least=0)
        recurring = self._recurring(params)
        if params.get("product_data"):
            product = self.create_product(nested(params, "product_data"))
        else:
            require(params, "product")
            product = self._state.referenced("product", params, "product")
        lookup_key = self._lookup_key(params)
        price = self._state.add(
            shape("price")
            | {
                "id": params.get("id") or self._state.new_id("price"),
                "active": flag(params.get("active"), default=True),
                "created": self._state.now,
                "currency": str(params["currency"]).lower(),
                "livemode": self._state.livemode,
                "lookup_key": lookup_key,
                "metadata": merge_metadata({}, params),
                "nickname": params.get("nickname") or None,
                "product": product["id"],
                "recurring": recurring,
                "type": "one_time" if recurring is None else "recurring",
                "unit_amount": amount,
                "unit_amount_decimal": str(amount),
            }
        )
        self._events.emit("price.created", price)
        return price

    def _recurring(self, params: dict[str, Any]) -> dict[str, Any] | None:
        if not (wanted := nested(params, "recurring")):
            return None
        require(wanted, "interval")
        usage = choice(wanted, "usage_type", {"licensed", "metered"}, default="licensed")
        if wanted.get("meter") and usage == "licensed":
            raise invalid("A meter goes with usage_type=metered.", param="recurring[meter]")
        return {
            "interval": choice(wanted, "interval", INTERVALS, default=""),
            "interval_count": integer(wanted, "interval_count", default=1, least=1),
            "meter": wanted.get("meter") or None,  # meters themselves are not simulated
            "usage_type": usage,
        }

    def _lookup_key(self, params: dict[str, Any]) -> str | None:
        """Return the lookup key; it is unique unless it is transferred (docs.stripe.com/api/prices/create)."""
        wanted = params.get("lookup_key") or None
        holder = next((p for p in self._state.newest("price") if wanted and p["lookup_key"] == wanted), None)
        if holder is not None:
            if not flag(params.get("transfer_lookup_key")):
                raise invalid(
                    f"A price (`{holder['id']}`) already uses that lookup key.",
                    param="lookup_key",
                    code="resource_already_exists",
                )
            holder["lookup_key"] = None
            self._state.touch(holder)
            self._events.emit("price.updated", holder, previous={"lookup_key": wanted})
        return wanted

    def update_price(self, price: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change what may change of a price (docs.stripe.com/api/prices/update)."""
        previous = change(price, params, ("nickname",))
        if "lookup_key" in params and params["lookup_key"] != price["lookup_key"]:
            previous["lookup_key"] = price["lookup_key"]
            price["lookup_key"] = self._lookup_key(params)
        if "active" in params:
            previous["active"], price["active"] = price["active"], flag(params["active"])
        self._state.touch(price)
        self._events.emit("price.updated", price, previous=previous)
        return price

    def find_prices(self, params: dict[str, Any]) -> dict[str, Any]:
        """List prices by lookup keys, activity, product, currency, type (docs.stripe.com/api/prices/list)."""
        within, keys = in_range(params), listed(params, "lookup_keys")
        if len(keys) > 10:  # noqa: PLR2004 - Stripe's limit
            raise invalid("You may specify at most 10 lookup_keys.", param="lookup_keys")
        active = None if absent(params.get("active")) else flag(params["active"])
        wanted = {name: params[name] for name in ("product", "currency", "type") if params.get(name)}

        def keep(price: dict[str, Any]) -> bool:
            return (
                (active is None or price["active"] == active)
                and (not keys or price["lookup_key"] in keys)
                and all(price[name] == value for name, value in wanted.items())
                and within(price)
            )

        return page(self._state, "price", params, url="/v1/prices", keep=keep)
