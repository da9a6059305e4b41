"""What is taken out of an operation, and what stays."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from payment_service.customers.schemas import CreateCustomer, CustomerView
from payment_service.operations.people import ANSWER, REQUEST, part
from payment_service.payment_methods.schemas import CreatedSetupIntent, CreateSetupIntent, PaymentMethodView
from payment_service.refunds.schemas import CreateRefund, RefundView
from payment_service.subscriptions.change_schemas import ChangedSubscription, ChangeSubscription
from payment_service.subscriptions.schemas import CreatedSubscription, CreateSubscription, SubscriptionView

NOT_PERSONAL = {
    *("id", "livemode", "created_at", "customer_id", "stripe_customer_id", "subscription_id", "stripe_subscription_id"),
    *("price_id", "product_id", "lookup_key", "quantity", "status", "create", "payment_method_id", "trial_days"),
    *("allow_multiple", "pause_collection", "paused_reason", "current_period_start", "current_period_end", "trial_end"),
    *("cancel_at_period_end", "cancel_at", "canceled_at", "ended_at", "latest_invoice_id", "client_secret"),
    *("client_secret_kind", "default_payment_method_id", "usage", "last_error_code", "cancellation_reason", "as_of"),
    *("type", "is_default", "detached", "allow_redisplay", "proration_behavior", "preview", "outcome", "pending"),
    *("decline_code", "payment_id", "invoice_id", "amount", "currency", "reason", "failure_reason", "charge_id"),
    "payment_intent_id",
}


def row(status: int, answer: dict[str, Any], **more: Any) -> Any:
    told = {"kind": "create_customer", "request": {}, "facts": {}, "response_status": status} | more
    return SimpleNamespace(**told, response_body=json.dumps(answer).encode())


def test_an_answer_keeps_its_ids_and_every_member() -> None:
    answer = {"id": "lpc_1", "email": "a@example.com", "name": None, "metadata": {"a": "b"}, "livemode": False}
    found = part(row(201, answer, request={"email": "a@example.com", "price_id": "price_1"}))
    assert json.loads(found.body) == {"id": "lpc_1", "email": None, "name": None, "metadata": {}, "livemode": False}
    assert found.request == {"email": None, "price_id": "price_1"}
    assert found.content == {
        "request": {"email": "a@example.com"},
        "answer": {"email": "a@example.com", "metadata": {"a": "b"}},
    }
    assert found.customer_id == "lpc_1"


def test_a_refusal_keeps_its_code_and_title() -> None:
    refusal = {
        "title": "Payment declined",
        "status": 402,
        "code": "payment_declined",
        "detail": "of Ada",
        "errors": [1],
    }
    found = part(row(402, refusal, kind="create_subscription", facts={"customer_id": "lpc_1", "card": "mark"}))
    assert json.loads(found.body) == {
        "title": "Payment declined",
        "status": 402,
        "code": "payment_declined",
        "detail": "Payment declined",
    }
    assert (found.facts, found.customer_id) == ({"customer_id": "lpc_1"}, "lpc_1")


def test_an_answer_without_anything_personal_stays_byte_for_byte() -> None:
    answer = row(200, {"id": "lps_1", "metadata": {}, "customer_id": "lpc_2"}, kind="cancel_subscription")
    found = part(answer)
    assert (found.body, found.content, found.customer_id) == (answer.response_body, {}, "lpc_2")


@pytest.mark.parametrize(
    "kind", [CreateCustomer, CreateSubscription, ChangeSubscription, CreateSetupIntent, CreateRefund]
)
def test_each_member_of_a_request_is_sorted_in(kind: Any) -> None:
    assert set(kind.__struct_fields__) <= REQUEST | NOT_PERSONAL


@pytest.mark.parametrize(
    "kind",
    [
        CustomerView,
        SubscriptionView,
        CreatedSubscription,
        ChangedSubscription,
        CreatedSetupIntent,
        PaymentMethodView,
        RefundView,
    ],
)
def test_each_member_of_an_answer_is_sorted_in(kind: Any) -> None:
    assert set(kind.__struct_fields__) <= ANSWER | NOT_PERSONAL
