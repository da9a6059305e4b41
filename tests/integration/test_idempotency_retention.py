"""How long keys and operations are kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from payment_service.events import worker
from payment_service.storage.tables import idempotency_keys, operations
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

HOUR = 3600.0
DAY = 24 * HOUR
CUSTOMERS = "/api/v1/customers"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep house more often than every 15 s."""
    monkeypatch.setattr(worker, "HOUSEKEEPING_SECONDS", 1.0)


async def create_customers(stack: Stack, count: int) -> None:
    for number in range(count):
        answer = await stack.client.post(
            CUSTOMERS, json={"reference": f"user-{number}"}, headers={"Idempotency-Key": f"key-{number}"}
        )
        assert answer.status_code == 201


async def test_keys_go_after_their_retention_in_batches_and_operations_stay(stack: Stack) -> None:
    await create_customers(stack, 5)
    stack.clock.advance(71 * HOUR)
    await stack.parts.operations.remove_expired(limit=2)
    assert len(await stack.rows(idempotency_keys)) == 5
    stack.clock.advance(2 * HOUR)
    await stack.parts.operations.remove_expired(limit=2)
    assert await stack.rows(idempotency_keys) == []
    assert len(await stack.rows(operations)) == 5


async def test_finished_operations_go_after_the_retention_of_events(stack: Stack) -> None:
    await create_customers(stack, 3)
    stack.clock.advance(91 * DAY)
    await stack.parts.operations.remove_expired(limit=2)
    assert await stack.rows(operations) == []


async def test_the_worker_removes_them(stack: Stack) -> None:
    await create_customers(stack, 1)
    stack.clock.advance(73 * HOUR)

    async def removed() -> bool:
        return await stack.rows(idempotency_keys) == []

    await stack.until(removed)


async def test_the_key_of_an_unfinished_operation_stays_and_a_retry_resumes_it(stack: Stack) -> None:
    stack.parts.worker.claiming = False
    headers, body = {"Idempotency-Key": "key"}, {"reference": "user-1"}
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method="POST", path="/v1/customers", count=3))
    assert (await stack.client.post(CUSTOMERS, json=body, headers=headers)).status_code == 503
    stack.clock.advance(100 * DAY)
    await stack.parts.operations.remove_expired(limit=10)
    assert (await stack.client.post(CUSTOMERS, json=body, headers=headers)).status_code == 201
    assert len(await stack.rows(operations)) == 1
    assert len(stack.simulator.state.all("customer")) == 1


async def test_copies_of_a_request_with_an_expired_key_make_one_operation(stack: Stack) -> None:
    headers = {"Idempotency-Key": "key"}
    assert (await stack.client.post(CUSTOMERS, json={"name": "Ada"}, headers=headers)).status_code == 201
    stack.clock.advance(73 * HOUR)
    answers = await asyncio.gather(
        *(stack.client.post(CUSTOMERS, json={"name": "Grace"}, headers=headers) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sorted(row["request"]["name"] for row in await stack.rows(operations)) == ["Ada", "Grace"]
