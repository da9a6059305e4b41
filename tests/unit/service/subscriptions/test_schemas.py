"""Stripe's subscription in every shape."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.payments.schemas import invoice_columns
from payment_service.subscriptions.schemas import client_secret, subscription_columns

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


def test_the_period_is_the_same_before_and_since_basil() -> None:
    assert subscription_columns(ACACIA) == subscription_columns(BASIL)


def test_expanded_members_are_the_same_as_ids() -> None:
    expanded = BASIL | {"customer": {"id": "cus_1"}, "latest_invoice": {"id": "in_1"}}
    assert subscription_columns(expanded) == subscription_columns(BASIL)


def test_our_own_metadata_is_not_shown() -> None:
    assert subscription_columns(BASIL)["metadata"] == {"plan": "pro"}


def test_a_payment_secret_is_given_only_while_incomplete() -> None:
    invoice = {"id": "in_1", "confirmation_secret": {"client_secret": "pi_1_secret_x"}}
    assert client_secret(BASIL | {"latest_invoice": invoice}) == (None, None)
    incomplete = BASIL | {"status": "incomplete", "latest_invoice": invoice}
    assert client_secret(incomplete) == ("pi_1_secret_x", "payment")


def test_a_setup_secret_is_given_for_a_trial() -> None:
    trial = BASIL | {"status": "trialing", "pending_setup_intent": {"client_secret": "seti_1_secret_x"}}
    assert client_secret(trial) == ("seti_1_secret_x", "setup")


@pytest.mark.parametrize(
    "link", [{"subscription": "sub_1"}, {"parent": {"subscription_details": {"subscription": "sub_1"}}}]
)
def test_an_invoices_subscription_is_found_before_and_since_basil(link: dict[str, Any]) -> None:
    invoice = {"currency": "usd", "livemode": False, "amount_due": 100, "amount_paid": 0} | link
    assert invoice_columns(invoice)["stripe_subscription_id"] == "sub_1"
