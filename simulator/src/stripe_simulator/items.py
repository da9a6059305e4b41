"""Subscription items and the lines that they put on invoices (docs.stripe.com/api/subscription_items)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stripe_simulator.errors import invalid
from stripe_simulator.forms import flag
from stripe_simulator.parameters import integer, merge_metadata
from stripe_simulator.periods import period_end
from stripe_simulator.shapes import shape

if TYPE_CHECKING:
    from stripe_simulator.state import State

ENDED: Final = frozenset({"canceled", "incomplete_expired"})
MAXIMUM_ITEMS = 20
"""docs.stripe.com/billing/subscriptions/multiple-products: at most 20 items."""


class Wanted(NamedTuple):
    """An item as a call wants it; `item_id` None: a new one."""

    item_id: str | None
    price: dict[str, Any]
    quantity: int | None
    """None of a metered price; 0 keeps the item and costs nothing."""
    metadata: dict[str, str]
    deleted: bool = False

    @property
    def cost(self) -> int:
        """Of a period."""
        return cost(self.price, self.quantity)


def cost(price: dict[str, Any], quantity: int | None) -> int:
    """Return what a period costs before it begins: nothing of a metered price, whose usage is billed afterwards."""
    return 0 if quantity is None else int(price["unit_amount"]) * quantity


def wanted_items(state: State, given: list[Any], *, current: list[dict[str, Any]] | None = None) -> list[Wanted]:
    """Return the items that a call asks for, checked (docs.stripe.com/api/subscriptions/create).

    All prices recur, with one currency and one interval.
    """
    by_id = {item["id"]: item for item in current or ()}
    found = []
    for index, item in enumerate(given):
        name = f"items[{index}]"
        if item.get("id") and item["id"] not in by_id:
            raise invalid(f"No such subscription item: '{item['id']}'", param=f"{name}[id]", code="resource_missing")
        before = by_id.get(item.get("id"))
        price = _price(state, item, before, name)
        quantity = _quantity(item, before, price, name)
        metadata = merge_metadata(before["metadata"] if before else {}, item)
        found.append(Wanted(item.get("id"), price, quantity, metadata, deleted=flag(item.get("deleted"))))
    if len(found) > MAXIMUM_ITEMS:
        raise invalid("A subscription can have up to 20 items.", param="items")
    named = {wanted.item_id for wanted in found}
    kept = [Wanted(i["id"], i["price"], i["quantity"], i["metadata"]) for i in by_id.values() if i["id"] not in named]
    _check_together([wanted for wanted in [*kept, *found] if not wanted.deleted])
    return [*kept, *found]


def _quantity(item: dict[str, Any], before: dict[str, Any] | None, price: dict[str, Any], name: str) -> int | None:
    """Return the quantity, which a metered price does not take (docs.stripe.com/api/subscriptions/create).

    An item whose price becomes another one has 1 again (docs.stripe.com/api/subscription_items/update).
    """
    if price["recurring"]["usage_type"] == "metered":
        if item.get("quantity") is not None:
            raise invalid("You cannot set the quantity for metered plans.", param=f"{name}[quantity]")
        return None
    kept = None if before is None or before["price"]["id"] != price["id"] else before["quantity"]
    return integer(item, "quantity", default=1 if kept is None else kept, least=0, most=1_000_000)


def _price(state: State, item: dict[str, Any], before: dict[str, Any] | None, name: str) -> dict[str, Any]:
    if before is not None and not item.get("price"):
        kept: dict[str, Any] = before["price"]
        return kept
    price = state.get("price", str(item.get("price") or ""), param=f"{name}[price]", status=400)
    if price["recurring"] is None:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param=f"{name}[price]",
        )
    if not price["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.", param=f"{name}[price]")
    return price


def _check_together(wanted: list[Wanted]) -> None:
    if not wanted:
        raise invalid("A subscription must have at least one active item.", param="items")
    if len({item.price["currency"] for item in wanted}) > 1:
        raise invalid("All prices on a subscription must have the same currency.", param="items")
    if len({(i.price["recurring"]["interval"], i.price["recurring"]["interval_count"]) for i in wanted}) > 1:
        raise invalid("All prices on a subscription must have the same recurring interval.", param="items")


def check_currency(state: State, customer: str, wanted: list[Wanted], *, current: dict[str, Any] | None = None) -> None:
    """Refuse prices of another currency than that of a running subscription of this customer.

    docs.stripe.com/billing/customer#currency: invoices of other currencies are allowed, and a new subscription once the
    other one has ended.
    """
    currencies = {item.price["currency"] for item in wanted if not item.deleted}
    if current is not None and currencies - {current["currency"]}:
        raise invalid("The currency of a subscription cannot be changed.", param="items")
    for name in state.hidden(state.objects[customer]).get("subscriptions", ()):
        other = state.objects[name]
        if other["status"] not in ENDED and currencies - {other["currency"]}:
            raise invalid(
                "You cannot combine currencies on a single customer. This customer has an active subscription, "
                f"subscription schedule, discount, quote, or invoice item with currency {other['currency']}.",
                param="items",
            )


def new_item(state: State, wanted: Wanted, *, subscription: str, start: int, end: int) -> dict[str, Any]:
    """Store a new item."""
    return state.add(made_item(state, wanted, subscription=subscription, start=start, end=end))


def made_item(state: State, wanted: Wanted, *, subscription: str, start: int, end: int) -> dict[str, Any]:
    """Return a new item; since 2025-03-31.basil the period stands here (docs.stripe.com/changelog/basil/2025-03-31)."""
    return shape("subscription_item") | {
        "id": state.new_id("si"),
        "created": state.now,
        "current_period_end": end,
        "current_period_start": start,
        "metadata": wanted.metadata,
        "price": wanted.price,
        "quantity": wanted.quantity,
        "subscription": subscription,
    }


def line(
    state: State, item: dict[str, Any], *, amount: int, start: int, end: int, description: str, proration: bool = False
) -> dict[str, Any]:
    """Return an invoice line of an item (docs.stripe.com/api/invoice-line-item/object)."""
    price = item["price"]
    return shape("line_item") | {
        "id": state.new_id("il"),
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discountable": not proration,
        "livemode": state.livemode,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": proration,
                "proration_details": {"credited_items": None} if proration else None,
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": end, "start": start},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"] or 0,
        "quantity_decimal": str(item["quantity"] or 0),
        "subscription": item["subscription"],
        "subtotal": amount,
    }


def period_lines(state: State, items: list[dict[str, Any]], *, free: bool = False) -> list[dict[str, Any]]:
    """Return the lines of the items' current period: each one's amount, nothing in a trial."""
    return [
        line(
            state,
            item,
            amount=0 if free else cost(item["price"], item["quantity"]),
            start=item["current_period_start"],
            end=item["current_period_end"],
            description=_description(state, item, free=free),
        )
        for item in items
    ]


def _description(state: State, item: dict[str, Any], *, free: bool) -> str:
    name = state.objects[item["price"]["product"]]["name"]
    if free:
        return f"Trial period for {name}"
    price = item["price"]
    amount = f"{price['unit_amount'] / 100:.2f} {price['currency'].upper()}"
    return f"{item['quantity'] or 0} × {name} (at {amount} / {price['recurring']['interval']})"  # noqa: RUF001 - as Stripe


def credit_line(state: State, item: dict[str, Any], *, moment: int) -> list[dict[str, Any]]:
    """Return the line that gives back the time which an item, as it was, leaves unused from `moment` on."""
    return _proration(state, item, "Unused", -cost(item["price"], item["quantity"]), moment=moment)


def charge_line(state: State, item: dict[str, Any], *, moment: int) -> list[dict[str, Any]]:
    """Return the line that charges an item, as it is now, for the rest of its period from `moment` on."""
    return _proration(state, item, "Remaining", cost(item["price"], item["quantity"]), moment=moment)


def _proration(state: State, item: dict[str, Any], what: str, amount: int, *, moment: int) -> list[dict[str, Any]]:
    """Return a share of a period's amount, to the second and rounded to the minor unit, halves away from zero.

    docs.stripe.com/billing/subscriptions/prorations#how-prorations-work.
    """
    if not amount:
        return []
    start, end = item["current_period_start"], item["current_period_end"]
    left, whole = max(0, end - max(start, moment)), max(1, end - start)
    share = (2 * abs(amount) * left + whole) // (2 * whole)
    name = state.objects[item["price"]["product"]]["name"]
    return [
        line(
            state,
            item,
            amount=share if amount > 0 else -share,
            start=moment,
            end=end,
            description=f"{what} time on {name}",
            proration=True,
        )
    ]


def next_lines(state: State, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of the period after the current one."""
    return [
        line(
            state,
            item,
            amount=cost(item["price"], item["quantity"]),
            start=item["current_period_end"],
            end=period_end(item["current_period_end"], item["price"]["recurring"]),
            description="Next period",
        )
        for item in items
    ]


def announce_invoice(state: State, subscription: dict[str, Any]) -> None:
    """Name the invoice that comes next: the events of the subscription show it, as Stripe's do."""
    subscription["latest_invoice"] = state.hidden(subscription)["announced"] = state.new_id("in")


def default_of(state: State, subscription: dict[str, Any]) -> str | None:
    """Return what a subscription is charged on without a word: its own default, else the customer's."""
    customer = state.objects[subscription["customer"]]
    settings = customer.get("invoice_settings") or {}
    chosen = (subscription["default_payment_method"], settings.get("default_payment_method"))
    attached = (name for name in chosen if name and state.objects[name]["customer"] == customer["id"])
    return next(attached, None)
