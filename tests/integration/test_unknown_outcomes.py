"""What Stripe did not answer, or answered long ago, is found out and completed, not made again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, update

from payment_service.storage.tables import operations
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import SUBSCRIPTION_EXPAND
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from tests.servers.stack import Stack

    from stripe_simulator.faults import FaultKind

CARD = "pm_card_visa"
KEY = {"Idempotency-Key": "order-1"}
DAY = 86_400.0
SUBSCRIPTIONS = "/v1/subscriptions"


def lose_answers(stack: Stack, path: str, *, method: str = "POST", count: int = 3) -> None:
    """Let Stripe execute the next calls and lose the answers: one call of ours is tried three times."""
    stack.simulator.faults.calls.append(Fault(kind="reset_after", method=method, path=path, count=count))


def forget_keys(stack: Stack) -> None:
    """Let Stripe forget its idempotency keys, as it may after a day."""
    for saved in stack.simulator.state.all("_idempotency_key"):
        stack.simulator.state.remove(saved)


async def finish_in_steps_of(stack: Stack, seconds: float, **body: Any) -> Any:
    """Send the request again until it is answered, while the clock moves on."""

    async def answered() -> Any:
        stack.clock.advance(seconds)
        answer = await stack.create(**body, headers=KEY)
        return answer if answer.status_code == 201 else None

    return await stack.until(answered)


@pytest.mark.parametrize("path", ["/v1/customers", SUBSCRIPTIONS, "/v1/payment_methods/.*/attach"])
async def test_after_a_day_the_object_is_found_by_its_metadata(stack: Stack, path: str) -> None:
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    if path.endswith("attach"):  # a new customer is created with the card
        assert (await stack.client.post("/api/v1/customers", json={"email": body["email"]})).status_code == 201
    lose_answers(stack, path)
    assert (await stack.create(**body, headers=KEY)).status_code == 503
    forget_keys(stack)
    answer = await finish_in_steps_of(stack, DAY, **body)
    assert answer.json()["status"] == "active"
    assert len(stack.simulator.state.all("customer")) == 1
    assert len(stack.simulator.state.all("subscription")) == 1
    assert len(stack.charges()) == 1


async def test_a_customer_without_address_is_found_too(stack: Stack) -> None:
    lose_answers(stack, "/v1/customers")
    await stack.create(customer_reference="user-1", create=True, headers=KEY)
    forget_keys(stack)
    await finish_in_steps_of(stack, DAY, customer_reference="user-1", create=True)
    assert len(stack.simulator.state.all("customer")) == 1


async def test_a_newer_version_that_sends_other_parameters_makes_nothing_twice(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe refuses the key with other parameters: what the older version made is looked up."""
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    lose_answers(stack, SUBSCRIPTIONS)
    assert (await stack.create(**body, headers=KEY)).status_code == 503
    monkeypatch.setattr(calls, "SUBSCRIPTION_EXPAND", (*SUBSCRIPTION_EXPAND, "customer"))
    answer = await finish_in_steps_of(stack, 60, **body)
    assert answer.json()["status"] == "active"
    assert len(stack.charges()) == 1


@pytest.mark.parametrize("kind", ["500_saved", "500_saved_after"])
@pytest.mark.parametrize("path", ["/v1/customers", SUBSCRIPTIONS])
async def test_a_fault_that_stripe_has_saved_under_the_key_is_passed_by(
    stack: Stack, path: str, kind: FaultKind
) -> None:
    """Stripe repeats a saved 500 for a day: what it may have made is looked up, a customer at once, then a new key."""
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    stack.simulator.faults.calls.append(Fault(kind=kind, method="POST", path=path))
    found = (path, kind) == ("/v1/customers", "500_saved_after")
    assert (await stack.create(**body, headers=KEY)).status_code == (201 if found else 503)
    answer = await finish_in_steps_of(stack, 60, **body)
    assert answer.json()["status"] == "active"
    assert len(stack.simulator.state.all("customer")) == 1
    assert len(stack.simulator.state.all("subscription")) == 1
    assert len(stack.charges()) == 1


async def test_a_replay_of_stripe_is_followed_by_a_look_at_the_present_object(stack: Stack) -> None:
    lose_answers(stack, SUBSCRIPTIONS)
    assert (await stack.create(email="ada@example.com", headers=KEY)).status_code == 503
    (intent,) = stack.simulator.state.all("payment_intent")
    routes = stack.simulator.routes
    routes.payments.confirm(intent, routes.payments.method(CARD))
    routes.billing.after_confirmation(intent)
    answer = await finish_in_steps_of(stack, 60, email="ada@example.com")
    assert answer.json()["status"] == "active"


async def test_a_cancellation_whose_answer_was_lost_is_no_conflict(stack: Stack) -> None:
    """Stripe ignores the key of a DELETE: the second try is refused, because the first one worked."""
    made = (await stack.create(email="ada@example.com", payment_method_id=CARD)).json()
    lose_answers(stack, f"{SUBSCRIPTIONS}/.*", method="DELETE", count=1)
    forget_keys(stack)
    answer = await stack.client.post(f"/api/v1/subscriptions/{made['id']}/cancel", json={"at_period_end": False})
    assert answer.status_code == 200
    assert answer.json()["status"] == "canceled"


async def test_who_loses_the_place_while_replacing_an_incomplete_one_never_charges_later(stack: Stack) -> None:
    first = (await stack.create(email="ada@example.com")).json()
    stack.simulator.faults.calls.append(
        Fault(kind="latency", method="GET", path=f"{SUBSCRIPTIONS}/.*", seconds=0.3, count=2)
    )
    answers = await asyncio.gather(
        *(stack.create(email="ada@example.com", payment_method_id=CARD, quantity=number) for number in (2, 3))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    (winner,) = (answer.json() for answer in answers if answer.status_code == 201)
    assert winner["id"] != first["id"]
    cancelled = await stack.client.post(f"/api/v1/subscriptions/{winner['id']}/cancel", json={"at_period_end": False})
    assert cancelled.status_code == 200
    stack.clock.advance(DAY)
    assert await stack.parts.operations.complete_expired() == 0
    assert len(stack.charges()) == 1
    assert all(row["finished"] for row in await stack.rows(operations))


async def test_an_operation_that_cannot_be_driven_holds_up_no_other(stack: Stack) -> None:
    """One lost its facts, others are of a newer version: the worker lives on and completes the last."""
    lose_answers(stack, SUBSCRIPTIONS)
    assert (await stack.create(email="ada@example.com", payment_method_id=CARD)).status_code == 503
    (row,) = await stack.rows(operations)
    async with stack.parts.database.transaction() as connection:
        await connection.execute(insert(operations), [row | {"id": "lpo_0", "phase": "started", "facts": {}}])
        await connection.execute(insert(operations), [row | {"id": "lpo_1", "kind": "of_a_newer_version"}])
        await connection.execute(insert(operations), [row | {"id": "lpo_2", "phase": "of_a_newer_version"}])
        newer = row["facts"] | {"of_a_newer_version": True}
        await connection.execute(insert(operations), [row | {"id": "lpo_3", "facts": newer}])
        await connection.execute(update(operations).values(lease_expires_at=stack.clock.now()))

    async def driven() -> Any:
        stack.clock.advance(5)
        found = {row["id"]: row for row in await stack.rows(operations)}
        unread = all(found[f"lpo_{number}"]["last_error"] == "operation_unreadable" for number in (0, 2, 3))
        return found if found[row["id"]]["finished"] and unread else None

    found = await stack.until(driven)
    assert found["lpo_1"]["attempts"] == row["attempts"]
    assert (found["lpo_2"]["phase"], found["lpo_3"]["facts"]) == ("of_a_newer_version", newer)
    assert len(stack.charges()) == 1


async def test_a_resumed_payment_whose_answer_was_lost_is_told_as_paid(stack: Stack) -> None:
    await stack.create(email="ada@example.com")
    body = {"email": "ada@example.com", "payment_method_id": CARD}
    lose_answers(stack, "/v1/invoices/.*/pay")
    assert (await stack.create(**body, headers=KEY)).status_code == 503

    async def answered() -> Any:
        stack.clock.advance(60)
        answer = await stack.create(**body, headers=KEY)
        return None if answer.status_code == 503 or answer.json().get("code") == "idempotency_key_in_use" else answer

    answer = await stack.until(answered)
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    assert len(stack.charges()) == 1


async def test_a_call_to_stripe_inside_a_transaction_is_refused_through_any_helper(stack: Stack) -> None:
    database, gateway = stack.parts.database, stack.parts.gateway

    async def helper() -> Any:
        return await other_helper()

    async def other_helper() -> Any:
        return await calls.retrieve_customer(gateway, made["id"])

    made = stack.simulator.routes.customers.create({"name": "Grace"})
    async with database.transaction():
        with pytest.raises(RuntimeError, match="inside a database transaction"):
            await helper()
        with pytest.raises(RuntimeError, match="inside a database transaction"):
            await asyncio.create_task(helper())
        committed = asyncio.Event()

        async def later() -> Any:
            await committed.wait()
            return await helper()

        task = asyncio.create_task(later())
    committed.set()
    assert (await task)["id"] == made["id"]
    assert (await helper())["id"] == made["id"]
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            raise ZeroDivisionError
    assert (await helper())["id"] == made["id"]
