"""The Idempotency-Key header."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import update
from tests.servers.stack import running_stack

from payment_service.storage.tables import customers, idempotency_keys, operations, prices
from payment_service.stripe_api import calls
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    import pytest
    from tests.servers.stack import Stack

    from payment_service.json_types import JsonObject

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


async def test_a_request_that_still_runs_is_409_with_retry_after(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calling, go_on = calls.create_subscription, asyncio.Event(), asyncio.Event()

    async def held(*arguments: Any, **more: Any) -> JsonObject:
        calling.set()
        await go_on.wait()
        return await original(*arguments, **more)

    monkeypatch.setattr(calls, "create_subscription", held)
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    running = asyncio.create_task(stack.create(**body, headers=KEY))
    await calling.wait()
    answer = await stack.create(**body, headers=KEY)
    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_key_in_use"
    assert answer.headers["retry-after"] == "1"
    go_on.set()
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


async def test_a_required_key_is_asked_for(database_url: str) -> None:
    async with running_stack(database_url, PAYMENTS_REQUIRE_IDEMPOTENCY_KEY="true") as strict:
        answer = await strict.create(email="ada@example.com")
        assert answer.status_code == 400
        assert answer.json()["code"] == "idempotency_key_required"
        assert (await strict.create(email="ada@example.com", headers=KEY)).status_code == 201


async def test_a_default_that_is_spelled_out_is_the_same_request(stack: Stack) -> None:
    await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD, quantity=1, metadata={}, headers=KEY)
    assert answer.headers["idempotent-replayed"] == "true"


async def test_a_key_belongs_to_its_route_and_to_the_object_in_its_path(stack: Stack) -> None:
    made = [
        (await stack.create(email=f"{name}@example.com", headers=KEY | {"Idempotency-Key": name})).json()
        for name in ("ada", "grace")
    ]
    paths = [f"/api/v1/subscriptions/{item['id']}/cancel" for item in made]
    assert (await stack.client.post(paths[0], json={"at_period_end": False}, headers=KEY)).status_code == 200
    answer = await stack.client.post(paths[1], json={"at_period_end": False}, headers=KEY)
    assert answer.json()["code"] == "idempotency_key_reused"
    assert (await stack.client.post("/api/v1/customers", json={}, headers=KEY)).status_code == 201


async def test_what_became_of_the_price_and_the_customer_does_not_change_the_answer(stack: Stack) -> None:
    made = (await stack.client.post("/api/v1/customers", json={"email": "ada@example.com"})).json()
    body = {"customer_id": made["id"], "payment_method_id": CARD}
    first = await stack.create(**body, headers=KEY)
    async with stack.parts.database.transaction() as connection:
        await connection.execute(update(prices).values(active=False))
        await connection.execute(update(customers).values(deleted=True))
    assert (await stack.create(**body, headers=KEY)).content == first.content
    assert (await stack.create(**body)).status_code == 422


async def test_an_interrupted_request_is_resumed_although_its_price_is_not_sold_any_more(stack: Stack) -> None:
    stack.parts.worker.claiming = False
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path="/v1/subscriptions", count=3))
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    assert (await stack.create(**body, headers=KEY)).status_code == 503
    async with stack.parts.database.transaction() as connection:
        await connection.execute(update(prices).values(active=False))
    stack.clock.advance(60)
    assert (await stack.create(**body, headers=KEY)).status_code == 201
    assert len(stack.charges()) == 1
