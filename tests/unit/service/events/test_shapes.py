"""Objects of old API versions give the same rows as those of the pinned one."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.mirror.registry import KINDS

START, END = 1_700_000_000, 1_702_592_000
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "livemode": False,
    "latest_invoice": "in_1",
    "cancel_at_period_end": False,
}
PRICE: dict[str, Any] = {"id": "price_1", "object": "price", "product": "prod_1"}
PERIOD: dict[str, Any] = {"current_period_start": START, "current_period_end": END}
ITEM: dict[str, Any] = {"id": "si_1", "object": "subscription_item", "price": PRICE, "quantity": 2}
NEW_SUBSCRIPTION: dict[str, Any] = SUBSCRIPTION | {"items": {"data": [ITEM | PERIOD]}}
INVOICE: dict[str, Any] = {
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
NEW_INVOICE: dict[str, Any] = INVOICE | {
    "status": "paid",
    "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
}
INTENT: dict[str, Any] = {"id": "pi_1", "amount": 700, "currency": "usd", "customer": "cus_1", "livemode": False}
CHARGE: dict[str, Any] = {
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

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "2025-03-31.basil moved the period to the items": (
        "subscription",
        SUBSCRIPTION | PERIOD | {"items": {"data": [ITEM]}},
        NEW_SUBSCRIPTION,
    ),
    "2020-08-27 showed plans beside prices": (
        "subscription",
        SUBSCRIPTION | PERIOD | {"items": {"data": [{"id": "si_1", "plan": PRICE, "quantity": 2}]}},
        NEW_SUBSCRIPTION,
    ),
    "an expanded customer and invoice": (
        "subscription",
        NEW_SUBSCRIPTION | {"customer": {"id": "cus_1"}, "latest_invoice": {"id": "in_1"}},
        NEW_SUBSCRIPTION,
    ),
    "2025-03-31.basil moved the subscription of an invoice": (
        "invoice",
        INVOICE | {"status": "paid", "paid": True, "subscription": "sub_1", "payment_intent": "pi_1", "charge": "ch_1"},
        NEW_INVOICE,
    ),
    "2018-11-08 gave invoices a status instead of flags": (
        "invoice",
        INVOICE | {"paid": True, "closed": True, "forgiven": False, "subscription": "sub_1"},
        NEW_INVOICE,
    ),
    "forgiven means uncollectible": (
        "invoice",
        INVOICE | {"paid": False, "closed": True, "forgiven": True, "subscription": "sub_1"},
        NEW_INVOICE | {"status": "uncollectible"},
    ),
    "2022-11-15 embedded the charges of an intent": (
        "payment_intent",
        INTENT | {"status": "succeeded", "charges": {"data": [{"id": "ch_2"}, {"id": "ch_1"}]}, "amount_received": 700},
        INTENT | {"status": "succeeded", "latest_charge": "ch_2", "amount_received": 700},
    ),
    "2019-02-11 renamed sources": (
        "payment_intent",
        INTENT | {"status": "requires_source", "source": "pm_1"},
        INTENT | {"status": "requires_payment_method", "payment_method": "pm_1"},
    ),
    "2019-02-11 renamed actions": (
        "setup_intent",
        INTENT | {"status": "requires_source_action"},
        INTENT | {"status": "requires_action"},
    ),
    "2020-08-27 told no captured amount": (
        "charge",
        CHARGE | {"status": "succeeded", "dispute": "dp_1", "invoice": "in_1"},
        CHARGE | {"status": "succeeded", "amount_captured": 700, "disputed": True},
    ),
    "2015-02-18 called a paid charge paid": (
        "charge",
        CHARGE | {"status": "paid"},
        CHARGE | {"status": "succeeded", "amount_captured": 700, "disputed": False},
    ),
    "the oldest refunds had no status": (
        "refund",
        {"id": "re_1", "amount": 700, "currency": "usd", "charge": "ch_1", "livemode": False},
        {"id": "re_1", "amount": 700, "currency": "usd", "charge": "ch_1", "status": "succeeded", "livemode": False},
    ),
    "2021 gave checkout sessions a status": (
        "checkout.session",
        {"id": "cs_1", "mode": "payment", "payment_status": "paid", "livemode": False},
        {"id": "cs_1", "mode": "payment", "payment_status": "paid", "status": "complete", "livemode": False},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_old_shape_gives_the_row_of_the_new_one(case: str) -> None:
    kind, old, new = CASES[case]
    assert KINDS[kind].columns(old) == KINDS[kind].columns(new)


def test_the_plan_of_the_oldest_subscriptions_is_an_item() -> None:
    oldest = SUBSCRIPTION | PERIOD | {"plan": {"id": "gold", "product": "prod_1"}, "quantity": 3}
    found = KINDS["subscription"].columns(oldest)
    assert (found["price_id"], found["product_id"], found["quantity"]) == ("gold", "prod_1", 3)
    assert isinstance(found["items"], list)
    assert found["items"][0]["current_period_end"] == END


def test_of_a_deleted_draft_the_same_stays_whatever_was_seen() -> None:
    columns = KINDS["invoice"].columns
    gone = columns(NEW_INVOICE | {"deleted": True})
    assert gone["status"] == "deleted"
    assert columns(NEW_INVOICE | {"amount_due": 1, "total": 1, "deleted": True}) == gone
