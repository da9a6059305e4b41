"""Why money of a charge cannot be given back."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.mirror.charge import Charge
from payment_service.refunds.refusals import NotRefundable, obstacle, worded
from payment_service.stripe_api.gateway import StripeRejected


def charge(**more: Any) -> Charge:
    whole = {"status": "succeeded", "currency": "eur", "amount": 1000, "amount_captured": 1000, "paid": True}
    return Charge(livemode=False, **{**whole, **more})


@pytest.mark.parametrize(
    ("more", "amount"),
    [({}, None), ({}, 1000), ({"amount_refunded": 400}, 600), ({"amount_captured": 300}, 300), ({"disputed": True}, 1)],
)
def test_what_is_left_can_be_given_back(more: dict[str, Any], amount: int | None) -> None:
    assert obstacle(charge(**more), amount=amount) is None


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"status": "pending", "paid": False}, "still processing"),
        ({"status": "failed", "paid": False}, "failed"),
        ({"captured": False, "amount_captured": 0}, "not captured"),
        ({"amount_refunded": 1000}, "refunded already"),
    ],
)
def test_a_charge_of_which_nothing_can_be_given_back_is_a_conflict(more: dict[str, Any], says: str) -> None:
    error = obstacle(charge(**more), amount=None)
    assert isinstance(error, NotRefundable)
    assert says in error.detail
    assert error.extra == {"amount_refundable": 0}


def test_an_amount_above_what_is_left_names_what_is_left() -> None:
    error = obstacle(charge(amount_captured=700, amount_refunded=400), amount=301)
    assert error is not None
    assert (error.status, error.extra["amount_refundable"]) == (422, 300)


@pytest.mark.parametrize("code", ["charge_disputed", "charge_already_refunded"])
def test_stripes_own_refusals_are_conflicts(code: str) -> None:
    refused = StripeRejected("No.", param=None, stripe_code=code, http_status=400)
    assert isinstance(worded(refused, charge()), NotRefundable)


def test_what_is_not_known_is_passed_on_as_stripe_says_it() -> None:
    refused = StripeRejected("No.", param=None, stripe_code="balance_insufficient", http_status=400)
    assert worded(refused, charge()) is refused
