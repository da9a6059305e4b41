"""An event and our own call that meet at the same row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from payment_service.storage.tables import subscriptions
from payment_service.stripe_api import calls

if TYPE_CHECKING:
    import pytest
    from tests.servers.stack import Stack


async def test_an_event_that_overtakes_the_answer_of_stripe_is_not_undone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer confirms, and the event is applied, between Stripe's answer and our recording of it."""
    original = calls.create_subscription

    async def overtaken(*arguments: Any, **more: Any) -> dict[str, Any]:
        answer = await original(*arguments, **more)
        intent = answer["latest_invoice"]["confirmation_secret"]["client_secret"].partition("_secret_")[0]
        stack.clock.advance(5)
        routes = stack.simulator.routes
        found = stack.simulator.state.get("payment_intent", intent)
        routes.payments.confirm(found, routes.payments.method("pm_card_visa"))
        routes.billing.after_confirmation(found)

        async def applied() -> bool:
            return any(row["status"] == "active" for row in await stack.rows(subscriptions))

        await stack.until(applied)
        return answer

    monkeypatch.setattr(calls, "create_subscription", overtaken)
    answer = await stack.create(email="ada@example.com")
    assert answer.status_code == 201
    assert answer.json()["status"] == "active"
    assert [row["status"] for row in await stack.rows(subscriptions)] == ["active"]
    assert len(stack.charges()) == 1


async def test_cancellations_of_one_subscription_at_the_same_moment_take_turns(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    path = f"/api/v1/subscriptions/{made['id']}/cancel"

    async def cancel(number: int) -> int:
        key = {"Idempotency-Key": f"cancel-{number}"}
        return (await stack.client.post(path, json={"at_period_end": True}, headers=key)).status_code

    assert set(await asyncio.gather(*map(cancel, range(20)))) == {200}


async def test_an_event_that_arrives_while_the_object_is_fetched_is_not_undone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker fetches a subscription; before it writes, a cancellation by our API is recorded."""
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    original = calls.retrieve
    interfered: list[str] = []

    async def interrupted(gateway: Any, collection: str, object_id: str) -> dict[str, Any]:
        obj = await original(gateway, collection, object_id)
        if collection == "subscriptions" and not interfered:
            interfered.append(object_id)
            path = f"/api/v1/subscriptions/{made['id']}/cancel"
            answer = await stack.client.post(path, json={"at_period_end": True})
            assert answer.status_code == 200
        return obj

    monkeypatch.setattr(calls, "retrieve", interrupted)
    subscription = stack.simulator.state.get("subscription", made["stripe_subscription_id"])
    stack.simulator.routes.billing.update(subscription, {"metadata": {"touched": "yes"}})

    async def ending() -> bool:
        (row,) = await stack.rows(subscriptions)
        return bool(row["cancel_at_period_end"] and row["metadata"] == {"touched": "yes"})

    await stack.until(ending)
