"""POST /api/v1/payments/create-subscription, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.stack import OTHER_PRICE, running_stack

from payment_service.mirror.invoice import invoices
from payment_service.storage.tables import customers, events, operations, subscriptions
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

CARD = "pm_card_visa"


async def test_a_card_is_charged_and_the_subscription_is_active(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
    assert answer.status_code == 201
    body = answer.json()
    assert body["status"] == "active"
    assert body["client_secret"] is None
    assert [charge["amount"] for charge in stack.charges()] == [2900]


async def test_the_answer_has_every_promised_member(stack: Stack) -> None:
    body = (await stack.create(email="ada@example.com", payment_method_id=CARD)).json()
    assert set(body) == {
        "id",
        "stripe_subscription_id",
        "customer_id",
        "stripe_customer_id",
        "price_id",
        "product_id",
        "quantity",
        "metadata",
        "status",
        "current_period_start",
        "current_period_end",
        "trial_end",
        "cancel_at_period_end",
        "cancel_at",
        "client_secret",
        "client_secret_kind",
        "latest_invoice_id",
        "livemode",
        "created_at",
    }


async def test_quantity_multiplies_the_amount(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD, quantity=3)
    assert [charge["amount"] for charge in stack.charges()] == [8700]


async def test_the_price_is_found_by_its_lookup_key(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD, lookup_key="basic_monthly")
    assert answer.status_code == 201
    assert [charge["amount"] for charge in stack.charges()] == [900]


async def test_without_a_card_the_client_gets_a_payment_secret(stack: Stack) -> None:
    body = (await stack.create(email="ada@example.com")).json()
    assert body["status"] == "incomplete"
    assert body["client_secret_kind"] == "payment"
    assert body["client_secret"].startswith("pi_")
    assert stack.charges() == []


async def test_a_trial_without_a_card_gets_a_setup_secret(stack: Stack) -> None:
    body = (await stack.create(email="ada@example.com", trial_days=14)).json()
    assert body["status"] == "trialing"
    assert body["client_secret_kind"] == "setup"
    assert body["client_secret"].startswith("seti_")


async def test_a_card_that_asks_for_authentication_gets_a_payment_secret(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id="pm_card_authenticationRequired")
    assert answer.status_code == 201
    assert answer.json()["status"] == "incomplete"
    assert answer.json()["client_secret_kind"] == "payment"
    assert stack.charges() == []


async def test_a_declined_charge_is_402_and_its_subscription_is_cancelled(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id="pm_card_chargeCustomerFail")
    assert answer.status_code == 402
    assert answer.json()["code"] == "payment_declined"
    assert answer.json()["decline_code"] == "generic_decline"
    assert [sub["status"] for sub in stack.simulator.state.all("subscription")] == ["canceled"]
    assert [row["status"] for row in await stack.rows(subscriptions)] == ["canceled"]


async def test_a_card_refused_when_attached_is_402_and_leaves_no_subscription(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id="pm_card_chargeDeclined")
    assert answer.status_code == 402
    assert await stack.rows(subscriptions) == []


async def test_after_a_decline_another_card_works(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id="pm_card_chargeCustomerFail")
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
    assert answer.status_code == 201
    assert len(stack.charges()) == 1


async def test_a_second_live_subscription_is_409_and_names_the_first(stack: Stack) -> None:
    first = (await stack.create(email="ada@example.com", payment_method_id=CARD)).json()
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
    assert answer.status_code == 409
    assert answer.json()["code"] == "subscription_exists"
    assert answer.json()["subscription_id"] == first["id"]
    assert len(stack.charges()) == 1


async def test_allow_multiple_adds_a_second_one(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD)
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD, allow_multiple=True)
    assert answer.status_code == 201
    assert len(stack.charges()) == 2


async def test_another_product_is_no_second_subscription(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD)
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD, price_id=OTHER_PRICE)
    assert answer.status_code == 201


async def test_concurrent_requests_without_keys_charge_once(stack: Stack) -> None:
    answers = await asyncio.gather(
        *(stack.create(customer_reference="user-1", create=True, payment_method_id=CARD) for _ in range(8))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] + [409] * 7
    assert len(stack.charges()) == 1
    assert len(stack.simulator.state.all("customer")) == 1


async def test_an_incomplete_subscription_is_resumed_with_the_same_secret(stack: Stack) -> None:
    first = (await stack.create(email="ada@example.com")).json()
    answer = await stack.create(email="ada@example.com")
    assert answer.status_code == 200
    assert answer.json()["id"] == first["id"]
    assert answer.json()["client_secret"] == first["client_secret"]


async def test_an_incomplete_subscription_is_paid_when_a_card_comes(stack: Stack) -> None:
    first = (await stack.create(email="ada@example.com")).json()
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
    assert answer.json()["id"] == first["id"]
    assert answer.json()["status"] == "active"
    assert len(stack.charges()) == 1


async def test_an_incomplete_subscription_of_other_quantity_is_replaced(stack: Stack) -> None:
    first = (await stack.create(email="ada@example.com")).json()
    answer = await stack.create(email="ada@example.com", quantity=2)
    assert answer.status_code == 201
    assert answer.json()["id"] != first["id"]
    statuses = {sub["id"]: sub["status"] for sub in stack.simulator.state.all("subscription")}
    assert statuses[first["stripe_subscription_id"]] == "canceled"


async def test_a_reference_finds_the_same_customer(stack: Stack) -> None:
    first = (await stack.create(customer_reference="user-1", create=True, payment_method_id=CARD)).json()
    second = (
        await stack.create(customer_reference="user-1", create=True, payment_method_id=CARD, price_id=OTHER_PRICE)
    ).json()
    assert first["customer_id"] == second["customer_id"]


async def test_an_address_finds_the_customer_in_any_case(stack: Stack) -> None:
    first = (await stack.create(email="Ada@example.com", payment_method_id=CARD)).json()
    second = (await stack.create(email="ada@EXAMPLE.com", payment_method_id=CARD, price_id=OTHER_PRICE)).json()
    assert first["customer_id"] == second["customer_id"]


async def test_a_customer_made_elsewhere_is_taken_over_by_stripes_id(stack: Stack) -> None:
    made = stack.simulator.routes.catalog.create_customer({"email": "grace@example.com"})
    answer = await stack.create(customer_id=made["id"], payment_method_id=CARD)
    assert answer.status_code == 201
    assert [row["stripe_customer_id"] for row in await stack.rows(customers)] == [made["id"]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "ada@example.com", "price_id": "price_unknown"}, "price_id"),
        ({"email": "ada@example.com", "lookup_key": "unknown"}, "lookup_key"),
        ({"customer_id": "lpc_unknown"}, "customer_id"),
        ({"customer_id": "cus_unknown"}, "customer_id"),
        ({"email": "no address"}, "email"),
        ({"email": "ada@example.com", "quantity": 0}, "quantity"),
        ({"email": "ada@example.com", "colour": "red"}, "colour"),
        ({}, "customer_id"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_written(stack: Stack, body: dict[str, Any], field: str) -> None:
    answer = await stack.create(**body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert await stack.rows(operations) == []
    assert await stack.rows(subscriptions) == []


async def test_an_unknown_payment_method_is_refused_and_frees_the_place(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", payment_method_id="pm_unknown")
    assert answer.status_code == 422
    assert (await stack.create(email="ada@example.com", payment_method_id=CARD)).status_code == 201


async def test_stripe_down_is_503_with_retry_after(stack: Stack) -> None:
    stack.simulator.faults.calls.append(Fault(kind="500_before", path="/v1/subscriptions", count=9))
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
    assert answer.status_code == 503
    assert answer.json()["code"] == "stripe_unavailable"
    assert int(answer.headers["retry-after"]) >= 1
    stack.simulator.faults.clear()


async def test_stripe_slow_is_504_and_the_operation_is_completed_later_with_one_charge(database_url: str) -> None:
    fault = Fault(kind="timeout_after", method="POST", path="/v1/subscriptions", seconds=3)
    async with running_stack(database_url, PAYMENTS_STRIPE_TIMEOUT_SECONDS="2") as stack:
        stack.simulator.faults.calls.append(fault)
        answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
        assert answer.status_code == 504
        stack.clock.advance(60)

        async def active() -> list[Any]:
            return [row for row in await stack.rows(subscriptions) if row["status"] == "active"]

        await stack.until(active)
        assert len(stack.charges()) == 1


async def test_the_webhooks_of_a_new_subscription_are_applied(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD)

    async def settled() -> bool:
        states = {(row["type"], row["state"]) for row in await stack.rows(events)}
        return ("invoice.paid", "applied") in states and not any(state == "pending" for _, state in states)

    await stack.until(settled)
    assert [row["status"] for row in await stack.rows(invoices)] == ["paid"]
    assert [row["status"] for row in await stack.rows(subscriptions)] == ["active"]
