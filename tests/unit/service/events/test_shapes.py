"""Objects of old API versions give the same rows as those of the pinned one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from payment_service.mirror import payment_columns
from payment_service.subscriptions.schemas import subscription_columns

if TYPE_CHECKING:
    from collections.abc import Callable

START, END = 1_700_000_000, 1_702_592_000
SUBSCRIPTION = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "livemode": False,
    "latest_invoice": "in_1",
    "cancel_at_period_end": False,
}
PRICE = {"id": "price_1", "object": "price", "product": "prod_1"}
PERIOD = {"current_period_start": START, "current_period_end": END}
ITEM = {"id": "si_1", "object": "subscription_item", "price": PRICE, "quantity": 2}
NEW_SUBSCRIPTION = SUBSCRIPTION | {"items": {"data": [ITEM | PERIOD]}}
INVOICE = {
    "id": "in_1",
    "object": "invoice",
    "customer": "cus_1",
    "currency": "usd",
    "amount_due": 2900,
    "amount_paid": 2900,
    "amount_remaining": 0,
    "attempt_count": 1,
    "billing_reason": "subscription_cycle",
    "number": "A-1",
    "total": 2900,
    "livemode": False,
}
NEW_INVOICE = INVOICE | {
    "status": "paid",
    "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
}
INTENT = {"id": "pi_1", "amount": 700, "currency": "usd", "customer": "cus_1", "livemode": False}
CHARGE = {
    "id": "ch_1",
    "amount": 700,
    "amount_refunded": 0,
    "currency": "usd",
    "livemode": False,
    "paid": True,
    "captured": True,
    "refunded": False,
    "payment_intent": "pi_1",
}

CASES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "2025-03-31.basil moved the period to the items": (
        subscription_columns,
        SUBSCRIPTION | PERIOD | {"items": {"data": [ITEM]}},
        NEW_SUBSCRIPTION,
    ),
    "2020-08-27 showed plans beside prices": (
        subscription_columns,
        SUBSCRIPTION | PERIOD | {"items": {"data": [{"id": "si_1", "plan": PRICE, "quantity": 2}]}},
        NEW_SUBSCRIPTION,
    ),
    "an expanded customer and invoice": (
        subscription_columns,
        NEW_SUBSCRIPTION | {"customer": {"id": "cus_1"}, "latest_invoice": {"id": "in_1"}},
        NEW_SUBSCRIPTION,
    ),
    "2025-03-31.basil moved the subscription of an invoice": (
        payment_columns.invoice_columns,
        INVOICE | {"status": "paid", "paid": True, "subscription": "sub_1", "payment_intent": "pi_1", "charge": "ch_1"},
        NEW_INVOICE,
    ),
    "2018-11-08 gave invoices a status instead of flags": (
        payment_columns.invoice_columns,
        INVOICE | {"paid": True, "closed": True, "forgiven": False, "subscription": "sub_1"},
        NEW_INVOICE,
    ),
    "forgiven means uncollectible": (
        payment_columns.invoice_columns,
        INVOICE | {"paid": False, "closed": True, "forgiven": True, "subscription": "sub_1"},
        NEW_INVOICE | {"status": "uncollectible"},
    ),
    "2022-11-15 embedded the charges of an intent": (
        payment_columns.payment_intent_columns,
        INTENT | {"status": "succeeded", "charges": {"data": [{"id": "ch_2"}, {"id": "ch_1"}]}, "amount_received": 700},
        INTENT | {"status": "succeeded", "latest_charge": "ch_2", "amount_received": 700},
    ),
    "2019-02-11 renamed sources": (
        payment_columns.payment_intent_columns,
        INTENT | {"status": "requires_source", "source": "pm_1"},
        INTENT | {"status": "requires_payment_method", "payment_method": "pm_1"},
    ),
    "2019-02-11 renamed actions": (
        payment_columns.setup_intent_columns,
        INTENT | {"status": "requires_source_action"},
        INTENT | {"status": "requires_action"},
    ),
    "2020-08-27 told no captured amount": (
        payment_columns.charge_columns,
        CHARGE | {"status": "succeeded", "dispute": "dp_1", "invoice": "in_1"},
        CHARGE | {"status": "succeeded", "amount_captured": 700, "disputed": True},
    ),
    "2015-02-18 called a paid charge paid": (
        payment_columns.charge_columns,
        CHARGE | {"status": "paid"},
        CHARGE | {"status": "succeeded", "amount_captured": 700, "disputed": False},
    ),
    "the oldest refunds had no status": (
        payment_columns.refund_columns,
        {"id": "re_1", "amount": 700, "currency": "usd", "charge": "ch_1", "livemode": False},
        {"id": "re_1", "amount": 700, "currency": "usd", "charge": "ch_1", "status": "succeeded", "livemode": False},
    ),
    "2021 gave checkout sessions a status": (
        payment_columns.checkout_session_columns,
        {"id": "cs_1", "mode": "payment", "payment_status": "paid", "livemode": False},
        {"id": "cs_1", "mode": "payment", "payment_status": "paid", "status": "complete", "livemode": False},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_old_shape_gives_the_row_of_the_new_one(case: str) -> None:
    columns, old, new = CASES[case]
    assert columns(old) == columns(new)


def test_the_plan_of_the_oldest_subscriptions_is_an_item() -> None:
    found = subscription_columns(SUBSCRIPTION | PERIOD | {"plan": {"id": "gold", "product": "prod_1"}, "quantity": 3})
    assert (found["price_id"], found["product_id"], found["quantity"]) == ("gold", "prod_1", 3)
    assert found["items"][0]["current_period_end"] == END


def test_of_a_deleted_draft_the_same_stays_whatever_was_seen() -> None:
    gone = {schema["status"] for schema in (payment_columns.invoice_columns(NEW_INVOICE | {"deleted": True}),)}
    assert gone == {"deleted"}
    changed = NEW_INVOICE | {"amount_due": 1, "total": 1, "deleted": True}
    assert payment_columns.invoice_columns(changed) == payment_columns.invoice_columns(NEW_INVOICE | {"deleted": True})
