"""The operations on the catalog, subscriptions, invoices and checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe_simulator.listing import in_range, page
from stripe_simulator.parameters import require
from stripe_simulator.routes_payments import PAGING, lister

if TYPE_CHECKING:
    from stripe_simulator.routes import Call, Table
    from stripe_simulator.world import World

_PRODUCT = "active description metadata name statement_descriptor unit_label"
_PRICE = "active lookup_key metadata nickname transfer_lookup_key"
_PRICE_CREATE = f"{_PRICE} id currency product product_data recurring unit_amount"
_COUPON = "id amount_off currency duration duration_in_months max_redemptions metadata name percent_off redeem_by"
_OPTIONS = (
    "cancel_at_period_end default_payment_method description discounts items metadata off_session payment_behavior "
    "payment_settings proration_behavior trial_end trial_settings"
)
_CREATE = f"{_OPTIONS} collection_method customer days_until_due trial_period_days"
_UPDATE = f"{_OPTIONS} cancel_at cancellation_details pause_collection proration_date"
_CHECKOUT = (
    "cancel_url client_reference_id currency "
    "customer customer_email expires_at line_items metadata mode payment_intent_data "
    "subscription_data success_url"
)


def add(table: Table, world: World) -> None:
    """Add them to the table."""
    _catalog(table, world)
    _subscriptions(table, world)
    _items(table, world)
    _invoices(table, world)
    _checkout(table, world)


def _catalog(table: Table, world: World) -> None:
    catalog, coupons = world.catalog, world.coupons
    table.add("GET", "products", lambda call: catalog.find_products(call.params), f"{PAGING} active ids")
    table.read("products", "product")
    table.show("POST", "products", lambda call: catalog.create_product(call.params), f"{_PRODUCT} id")
    table.change("products", "product", catalog.update_product, f"{_PRODUCT} default_price")
    table.change("products", "product", lambda obj, _: catalog.delete_product(obj), method="DELETE")
    table.add(
        "GET",
        "prices",
        lambda call: catalog.find_prices(call.params),
        f"{PAGING} active currency lookup_keys product type",
    )
    table.read("prices", "price")
    table.show("POST", "prices", lambda call: catalog.create_price(call.params), _PRICE_CREATE)
    table.change("prices", "price", catalog.update_price, _PRICE)
    table.add(*lister(world, "coupon", "coupons"))
    table.read("coupons", "coupon")
    table.show("POST", "coupons", lambda call: coupons.create(call.params), _COUPON)
    table.change("coupons", "coupon", coupons.update, "metadata name")
    table.change("coupons", "coupon", lambda obj, _: coupons.delete(obj), method="DELETE")


def _subscriptions(table: Table, world: World) -> None:
    billing = world.billing
    table.add(
        "GET",
        "subscriptions",
        lambda call: _find_subscriptions(world, call.params),
        f"{PAGING} collection_method customer price status",
    )
    table.read("subscriptions", "subscription")
    table.show("POST", "subscriptions", lambda call: billing.create(call.params), _CREATE)
    table.change("subscriptions", "subscription", billing.update, _UPDATE)
    table.change(
        "subscriptions", "subscription", billing.cancel, "cancellation_details invoice_now prorate", method="DELETE"
    )
    table.change(
        "subscriptions",
        "subscription",
        lambda obj, _: billing.resume(obj),
        "billing_cycle_anchor proration_behavior",
        action="resume",
    )


def _find_subscriptions(world: World, params: dict[str, Any]) -> dict[str, Any]:
    """Leave canceled ones out unless a status is asked for (docs.stripe.com/api/subscriptions/list)."""
    within, status, price = in_range(params), params.get("status"), params.get("price")
    wanted = {name: params[name] for name in ("customer", "collection_method") if params.get(name)}
    ended = {"canceled", "incomplete_expired"}

    def keep(obj: dict[str, Any]) -> bool:
        fits = (
            obj["status"] != "canceled"
            if not status
            else status in {"all", obj["status"]} or (status == "ended" and obj["status"] in ended)
        )
        return (
            fits
            and within(obj)
            and all(obj[name] == value for name, value in wanted.items())
            and (not price or any(item["price"]["id"] == price for item in obj["items"]["data"]))
        )

    return page(world.state, "subscription", params, url="/v1/subscriptions", keep=keep)


def _items(table: Table, world: World) -> None:
    """docs.stripe.com/api/subscription_items: the same changes, one item at a time."""
    state = world.state

    def find(call: Call) -> dict[str, Any]:
        require(call.params, "subscription")
        wanted = call.params["subscription"]
        ids = {item["id"] for item in state.get("subscription", wanted, status=400)["items"]["data"]}
        return page(
            state, "subscription_item", call.params, url="/v1/subscription_items", keep=lambda obj: obj["id"] in ids
        )

    def update(item: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in params.items() if name in {"price", "quantity", "metadata", "deleted"}}
        options = {name: value for name, value in params.items() if name not in given and name != "expand"}
        subscription = state.get("subscription", item["subscription"])
        world.billing.update(subscription, options | {"items": [given | {"id": item["id"]}]})
        return item

    def delete(item: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        update(item, params | {"deleted": "true"})
        state.remove(item)
        return {"id": item["id"], "object": "subscription_item", "deleted": True}

    table.add("GET", "subscription_items", find, f"{PAGING} subscription")
    table.read("subscription_items", "subscription_item")
    table.change(
        "subscription_items",
        "subscription_item",
        update,
        "metadata payment_behavior price proration_behavior proration_date quantity",
    )
    table.change(
        "subscription_items", "subscription_item", delete, "proration_behavior proration_date", method="DELETE"
    )


def _invoices(table: Table, world: World) -> None:
    invoices, state = world.invoices, world.state

    def find(call: Call) -> dict[str, Any]:
        params, within = call.params, in_range(call.params)
        wanted = {name: params[name] for name in ("customer", "status", "collection_method") if params.get(name)}
        subscription = params.get("subscription")

        def keep(obj: dict[str, Any]) -> bool:
            return (
                within(obj)
                and all(obj[name] == value for name, value in wanted.items())
                and (not subscription or state.hidden(obj)["subscription"] == subscription)
            )

        return page(state, "invoice", params, url="/v1/invoices", keep=keep)

    table.add("GET", "invoices", find, f"{PAGING} collection_method customer status subscription")
    table.read("invoices", "invoice")
    table.change("invoices", "invoice", invoices.update, "auto_advance description metadata")
    table.change("invoices", "invoice", invoices.pay, "off_session paid_out_of_band payment_method", action="pay")
    table.change("invoices", "invoice", lambda obj, _: invoices.void(obj), action="void")
    table.change("invoices", "invoice", lambda obj, _: invoices.finalize(obj), "auto_advance", action="finalize")
    table.change("invoices", "invoice", lambda obj, _: invoices.give_up(obj), action="mark_uncollectible")
    table.add("GET", "invoices/{id}/lines", lambda call: state.get("invoice", call.object_id)["lines"], PAGING)
    table.show(
        "POST",
        "invoices/create_preview",
        lambda call: world.changes.preview(call.params),
        "customer subscription subscription_details",
    )
    table.add(*lister(world, "invoice_payment", "invoice_payments", "invoice status"))
    table.read("invoice_payments", "invoice_payment")


def _checkout(table: Table, world: World) -> None:
    checkout = world.checkout
    table.add(*lister(world, "checkout.session", "checkout.sessions", "customer payment_intent status subscription"))
    table.read("checkout.sessions", "checkout.session")
    table.show("POST", "checkout.sessions", lambda call: checkout.create(call.params), _CHECKOUT)
    table.change("checkout.sessions", "checkout.session", lambda obj, _: checkout.expire(obj), action="expire")
    table.add(
        "GET",
        "checkout.sessions/{id}/line_items",
        lambda call: checkout.lines(world.state.get("checkout.session", call.object_id)),
        PAGING,
    )
