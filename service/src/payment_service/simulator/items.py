"""Subscription items and the lines that they put on invoices (docs.stripe.com/api/subscription_items)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from payment_service.simulator.errors import invalid
from payment_service.simulator.forms import flag
from payment_service.simulator.parameters import integer, merge_metadata
from payment_service.simulator.shapes import shape

if TYPE_CHECKING:
    from payment_service.simulator.state import State

MAXIMUM_ITEMS = 20
"""docs.stripe.com/billing/subscriptions/multiple-products: at most 20 items."""


class Wanted(NamedTuple):
    """An item as a call wants it; `item_id` None: a new one, `quantity` 0: none of it any more."""

    item_id: str | None
    price: dict[str, Any]
    quantity: int
    metadata: dict[str, str]


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
        quantity = integer(item, "quantity", default=before["quantity"] if before else 1, least=0, most=1_000_000)
        if flag(item.get("deleted")):
            quantity = 0
        assert quantity is not None
        metadata = merge_metadata(before["metadata"] if before else {}, item)
        found.append(Wanted(item.get("id"), price, quantity, metadata))
    if len(found) > MAXIMUM_ITEMS:
        raise invalid("A subscription can have up to 20 items.", param="items")
    named = {wanted.item_id for wanted in found}
    kept = [Wanted(i["id"], i["price"], i["quantity"], i["metadata"]) for i in by_id.values() if i["id"] not in named]
    _check_together([wanted for wanted in [*kept, *found] if wanted.quantity or wanted.item_id is None])
    return [*kept, *found]


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


def new_item(state: State, wanted: Wanted, *, subscription: str, start: int, end: int) -> dict[str, Any]:
    """Return a new item; since 2025-03-31.basil the period stands here (docs.stripe.com/changelog/basil/2025-03-31)."""
    return state.add(
        shape("subscription_item")
        | {
            "id": state.new_id("si"),
            "created": state.now,
            "current_period_end": end,
            "current_period_start": start,
            "metadata": wanted.metadata,
            "price": wanted.price,
            "quantity": wanted.quantity,
            "subscription": subscription,
        }
    )


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
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": item["subscription"],
        "subtotal": amount,
    }


def period_lines(state: State, subscription: dict[str, Any], *, free: bool = False) -> list[dict[str, Any]]:
    """Return the lines of the current period: each item's amount, nothing in a trial."""
    return [
        line(
            state,
            item,
            amount=0 if free else item["price"]["unit_amount"] * item["quantity"],
            start=item["current_period_start"],
            end=item["current_period_end"],
            description=_description(state, item, free=free),
        )
        for item in subscription["items"]["data"]
    ]


def _description(state: State, item: dict[str, Any], *, free: bool) -> str:
    name = state.objects[item["price"]["product"]]["name"]
    if free:
        return f"Trial period for {name}"
    price = item["price"]
    amount = f"{price['unit_amount'] / 100:.2f} {price['currency'].upper()}"
    return f"{item['quantity']} × {name} (at {amount} / {price['recurring']['interval']})"  # noqa: RUF001 - as Stripe


def proration_lines(
    state: State, item: dict[str, Any], *, before: int, after: int, moment: int
) -> list[dict[str, Any]]:
    """Return the credit for unused and the charge for remaining time.

    docs.stripe.com/billing/subscriptions/prorations.

    Args:
        state: for ids.
        item: after its change.
        before: what the period cost.
        after: what it costs from now on.
        moment: of the change; to the second.
    """
    start, end = item["current_period_start"], item["current_period_end"]
    share = max(0, min(end, end) - max(start, moment)) / max(1, end - start)
    name = state.objects[item["price"]["product"]]["name"]
    found = []
    if before:
        found.append((-round(before * share), f"Unused time on {name}"))
    if after:
        found.append((round(after * share), f"Remaining time on {name}"))
    return [
        line(state, item, amount=amount, start=moment, end=end, description=text, proration=True)
        for amount, text in found
    ]
