"""The Idempotency-Key header."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from payment_service.simulator.faults import Fault
from payment_service.tables import idempotency_keys, operations

if TYPE_CHECKING:
    from tests.servers.stack import Stack

KEY = {"Idempotency-Key": "order-1815"}
CARD = "pm_card_visa"


async def test_the_same_request_gets_the_same_answer_and_charges_once(stack: Stack) -> None:
    first = await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
    second = await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(stack.charges()) == 1


async def test_a_decline_is_replayed_as_a_problem(stack: Stack) -> None:
    body = {"email": "ada@example.com", "payment_method_id": "pm_card_chargeCustomerFail"}
    first = await stack.create(**body, headers=KEY)
    second = await stack.create(**body, headers=KEY)
    assert second.status_code == 402
    assert second.content == first.content
    assert second.headers["content-type"] == "application/problem+json"


async def test_another_body_under_the_key_is_refused(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
    answer = await stack.create(email="grace@example.com", payment_method_id=CARD, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"


async def test_the_order_of_members_does_not_matter(stack: Stack) -> None:
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    await stack.create(**body, headers=KEY)
    answer = await stack.create(**dict(reversed(body.items())), headers=KEY)
    assert answer.headers["idempotent-replayed"] == "true"


async def test_a_request_that_still_runs_is_409_with_retry_after(stack: Stack) -> None:
    fault = Fault(kind="latency", method="POST", path="/v1/subscriptions", seconds=1.5)
    stack.simulator.faults.calls.append(fault)
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    running = asyncio.create_task(stack.create(**body, headers=KEY))
    await asyncio.sleep(0.5)
    answer = await stack.create(**body, headers=KEY)
    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_key_in_use"
    assert answer.headers["retry-after"] == "1"
    assert (await running).status_code == 201


async def test_concurrent_copies_charge_once(stack: Stack) -> None:
    body = {"email": "ada@example.com", "payment_method_id": CARD, "allow_multiple": True}
    answers = await asyncio.gather(*(stack.create(**body, headers=KEY) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(stack.charges()) == 1


async def test_an_answer_before_execution_is_not_stored(stack: Stack) -> None:
    assert (await stack.create(email="nobody", headers=KEY)).status_code == 422
    assert await stack.rows(idempotency_keys) == []
    assert (await stack.create(email="ada@example.com", headers=KEY)).status_code == 201


async def test_a_retry_after_a_lost_answer_of_stripe_charges_once(stack: Stack) -> None:
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path="/v1/subscriptions", count=3))
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    assert (await stack.create(**body, headers=KEY)).status_code == 503
    stack.clock.advance(10)

    async def answered() -> bool:
        return (await stack.create(**body, headers=KEY)).status_code == 201

    await stack.until(answered)
    assert len(stack.charges()) == 1


async def test_a_malformed_key_is_refused(stack: Stack) -> None:
    answer = await stack.create(email="ada@example.com", headers={"Idempotency-Key": "x" * 256})
    assert answer.status_code == 400


async def test_the_operation_holds_request_and_answer(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
    (row,) = await stack.rows(operations)
    assert row["finished"]
    assert row["phase"] == "finished"
    assert row["response_status"] == 201
    assert row["request"]["email"] == "ada@example.com"
