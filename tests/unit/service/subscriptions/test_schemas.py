"""Stripe's subscription in every shape."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.mirror.registry import KINDS
from payment_service.mirror.subscription_shape import Subscription
from payment_service.stripe_api.objects import read
from payment_service.subscriptions.answers import answer_of

BASIL: dict[str, Any] = {
    "id": "sub_1",
    "customer": "cus_1",
    "status": "active",
    "livemode": False,
    "latest_invoice": "in_1",
    "metadata": {"plan": "pro", "lean_payments_operation": "lpo_1"},
    "items": {
        "data": [
            {
                "price": {"id": "price_1", "product": "prod_1"},
                "quantity": 2,
                "current_period_start": 1_700_000_000,
                "current_period_end": 1_702_592_000,
            }
        ]
    },
}
ACACIA: dict[str, Any] = BASIL | {
    "current_period_start": 1_700_000_000,
    "current_period_end": 1_702_592_000,
    "items": {"data": [{"price": {"id": "price_1", "product": "prod_1"}, "quantity": 2}]},
}


def subscription_columns(obj: dict[str, Any], *, ordered: str | None = None) -> dict[str, object]:
    return read(obj, Subscription).columns(ordered=ordered)


def test_the_period_is_the_same_before_and_since_basil() -> None:
    assert subscription_columns(ACACIA) == subscription_columns(BASIL)


def test_expanded_members_are_the_same_as_ids() -> None:
    expanded = BASIL | {"customer": {"id": "cus_1"}, "latest_invoice": {"id": "in_1"}}
    assert subscription_columns(expanded) == subscription_columns(BASIL)


def test_our_own_metadata_is_not_shown() -> None:
    assert subscription_columns(BASIL)["metadata"] == {"plan": "pro"}


def test_a_payment_secret_is_given_only_while_incomplete() -> None:
    invoice = {"id": "in_1", "confirmation_secret": {"client_secret": "pi_1_secret_x"}}
    assert answer_of(BASIL | {"latest_invoice": invoice}).client_secret == (None, None)
    incomplete = BASIL | {"status": "incomplete", "latest_invoice": invoice}
    assert answer_of(incomplete).client_secret == ("pi_1_secret_x", "payment")


def test_a_setup_secret_is_given_for_a_trial() -> None:
    trial = BASIL | {"status": "trialing", "pending_setup_intent": {"client_secret": "seti_1_secret_x"}}
    assert answer_of(trial).client_secret == ("seti_1_secret_x", "setup")


@pytest.mark.parametrize(
    "link", [{"subscription": "sub_1"}, {"parent": {"subscription_details": {"subscription": "sub_1"}}}]
)
def test_an_invoices_subscription_is_found_before_and_since_basil(link: dict[str, Any]) -> None:
    invoice: dict[str, Any] = {"currency": "usd", "livemode": False, "amount_due": 100, "amount_paid": 0} | link
    assert KINDS["invoice"].columns(invoice)["stripe_subscription_id"] == "sub_1"


def item(product: str, *, created: int, **more: Any) -> dict[str, Any]:
    """Return an item of one price of this product."""
    price = {"id": f"price_of_{product}", "product": product}
    return {"id": f"si_{product}_{created}", "price": price, "quantity": 1, "created": created} | more


@pytest.mark.parametrize("step", [1, -1])
def test_the_item_of_the_ordered_product_is_shown_at_any_position(step: int) -> None:
    items = [item("addon", created=1, quantity=5), item("main", created=2, quantity=3)]
    obj = BASIL | {"items": {"data": items[::step]}}
    columns = subscription_columns(obj, ordered="main")
    assert (columns["product_id"], columns["price_id"], columns["quantity"]) == ("main", "price_of_main", 3)


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("ordered", [None, "gone"])
def test_the_oldest_item_is_shown_where_the_ordered_product_is_not_among_them(ordered: str | None, step: int) -> None:
    items = [item("first", created=1), item("second", created=2)]
    obj = BASIL | {"items": {"data": items[::step]}}
    assert subscription_columns(obj, ordered=ordered)["product_id"] == "first"


@pytest.mark.parametrize("quantity", [0, 1, None])
def test_a_quantity_is_shown_as_stripe_has_it(quantity: int | None) -> None:
    obj = BASIL | {"items": {"data": [item("main", created=1, quantity=quantity)]}}
    assert subscription_columns(obj)["quantity"] == quantity


@pytest.mark.parametrize(
    "cause",
    [
        {"type": "subscription", "subscription": {"type": "trial_end_without_payment_method"}},
        {"type": "subscription", "subscription": {"type": "first_payment_failure"}},
    ],
)
def test_the_cause_of_a_pause_is_in_stripes_words(cause: dict[str, Any]) -> None:
    obj = BASIL | {"status": "paused", "status_details": {"paused": cause}}
    assert subscription_columns(obj)["paused_reason"] == cause["subscription"]["type"]


def test_an_active_subscription_shows_no_cause_of_a_former_pause() -> None:
    obj = BASIL | {"status_details": {"paused": {"type": "subscription", "subscription": {"type": "requested"}}}}
    assert subscription_columns(obj)["paused_reason"] is None
