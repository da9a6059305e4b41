"""Customers, products and prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.errors import invalid
from payment_service.simulator.forms import flag
from payment_service.simulator.state import random_text

if TYPE_CHECKING:
    from payment_service.simulator.events import Events
    from payment_service.simulator.state import State


class Catalog:
    """What is sold, and to whom."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events

    def create_customer(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a customer (docs.stripe.com/api/customers/create)."""
        email = params.get("email")
        if email is not None and "@" not in email:
            raise invalid(f"Invalid email address: {email}", param="email", code="email_invalid")
        customer = self._state.add(
            {
                "id": self._state.new_id("cus"),
                "object": "customer",
                "address": None,
                "balance": 0,
                "created": self._state.now,
                "currency": None,
                "default_source": None,
                "delinquent": False,
                "description": params.get("description"),
                "discount": None,
                "email": email,
                "invoice_prefix": random_text(8).upper(),
                "invoice_settings": {
                    "custom_fields": None,
                    "default_payment_method": None,
                    "footer": None,
                    "rendering_options": None,
                },
                "livemode": self._state.livemode,
                "metadata": params.get("metadata", {}),
                "name": params.get("name"),
                "next_invoice_sequence": 1,
                "phone": None,
                "preferred_locales": [],
                "shipping": None,
                "tax_exempt": "none",
                "test_clock": None,
            }
        )
        self._events.emit("customer.created", customer)
        return customer

    def update_customer(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        """Change a customer (docs.stripe.com/api/customers/update)."""
        before: dict[str, Any] = {n: customer[n] for n in ("email", "name", "description") if n in params}
        customer |= {name: params[name] for name in before}
        customer["metadata"] |= params.get("metadata", {})
        self._state.touch(customer)
        self._events.emit("customer.updated", customer, previous=before)
        return customer

    def delete_customer(self, customer: dict[str, Any]) -> dict[str, Any]:
        """Delete a customer (docs.stripe.com/api/customers/delete)."""
        self._events.emit("customer.deleted", customer)
        self._state.remove(customer)
        return {"id": customer["id"], "object": "customer", "deleted": True}

    def create_product(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a product (docs.stripe.com/api/products/create)."""
        product = self._state.add(
            {
                "id": params.get("id") or self._state.new_id("prod"),
                "object": "product",
                "active": flag(params.get("active"), default=True),
                "created": self._state.now,
                "default_price": None,
                "description": params.get("description"),
                "images": [],
                "livemode": self._state.livemode,
                "marketing_features": [],
                "metadata": params.get("metadata", {}),
                "name": params.get("name", ""),
                "package_dimensions": None,
                "shippable": None,
                "statement_descriptor": None,
                "tax_code": None,
                "type": "service",
                "unit_label": None,
                "updated": self._state.now,
                "url": None,
            }
        )
        self._events.emit("product.created", product)
        return product

    def create_price(self, params: dict[str, Any]) -> dict[str, Any]:
        """Create a price (docs.stripe.com/api/prices/create)."""
        product_id = params.get("product") or self.create_product(params.get("product_data", {}))["id"]
        self._state.get("product", product_id, param="product")
        recurring = params.get("recurring")
        amount = int(params["unit_amount"])
        price = self._state.add(
            {
                "id": params.get("id") or self._state.new_id("price"),
                "object": "price",
                "active": flag(params.get("active"), default=True),
                "billing_scheme": "per_unit",
                "created": self._state.now,
                "currency": params["currency"],
                "custom_unit_amount": None,
                "livemode": self._state.livemode,
                "lookup_key": params.get("lookup_key"),
                "metadata": params.get("metadata", {}),
                "nickname": params.get("nickname"),
                "product": product_id,
                "recurring": None
                if recurring is None
                else {
                    "interval": recurring["interval"],
                    "interval_count": int(recurring.get("interval_count", 1)),
                    "meter": None,
                    "trial_period_days": None,
                    "usage_type": "licensed",
                },
                "tax_behavior": "unspecified",
                "tiers_mode": None,
                "transform_quantity": None,
                "type": "one_time" if recurring is None else "recurring",
                "unit_amount": amount,
                "unit_amount_decimal": str(amount),
            }
        )
        self._events.emit("price.created", price)
        return price

    def find_prices(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return prices by lookup keys, activity or product (docs.stripe.com/api/prices/list)."""
        found = self._state.all("price")
        if keys := params.get("lookup_keys"):
            found = [price for price in found if price["lookup_key"] in keys]
        if "active" in params:
            found = [price for price in found if price["active"] == flag(params["active"])]
        if product := params.get("product"):
            found = [price for price in found if price["product"] == product]
        return found
