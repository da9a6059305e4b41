"""An event and our own call that meet at the same row."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.servers.stack import CREATE, PRICE

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events.routes import PATH
from payment_service.mirror.payment_method import payment_methods
from payment_service.storage.tables import customers, events, outbox, subscriptions
from payment_service.stripe_api import calls
from payment_service.stripe_api.signature import sign
from stripe_simulator.faults import WebhookFault

if TYPE_CHECKING:
    from tests.servers.stack import Stack


async def test_an_event_that_overtakes_the_answer_of_stripe_is_not_undone(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer confirms, and the event is applied, between Stripe's answer and our recording of it."""
    original: Any = calls.create_subscription

    async def overtaken(*arguments: Any, **more: Any) -> Any:
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
    original: Any = calls.retrieve
    interfered: list[str] = []

    async def interrupted(gateway: Any, collection: str, object_id: str) -> Any:
        obj = await original(gateway, collection, object_id)
        if collection == "subscriptions" and not interfered:
            interfered.append(object_id)
            path = f"/api/v1/subscriptions/{made['id']}/cancel"
            answer = await stack.client.post(path, json={"at_period_end": True})
            assert answer.status_code == 200
        return obj

    monkeypatch.setattr(calls, "retrieve", interrupted)
    subscription = stack.simulator.state.get("subscription", made["stripe_subscription_id"])
    for touched in ("no", "perhaps", "yes"):  # two of these are of one second
        stack.simulator.routes.billing.update(subscription, {"metadata": {"touched": touched}})

    async def ending() -> bool:
        (row,) = await stack.rows(subscriptions)
        return bool(row["cancel_at_period_end"] and row["metadata"] == {"touched": "yes"})

    await stack.until(ending)


async def test_an_event_from_before_an_object_was_fetched_for_our_call_does_not_undo_it(stack: Stack) -> None:
    """Two changes by other hands are not told, our call fetches what they made, and then the first one is told."""
    made = (await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")).json()
    stack.simulator.faults.webhooks.append(WebhookFault(kind="drop", type="customer.subscription.updated", count=99))
    subscription = stack.simulator.state.get("subscription", made["stripe_subscription_id"])
    for touched in ("first", "last"):
        stack.clock.advance(60)
        stack.simulator.routes.billing.update(subscription, {"metadata": {"touched": touched}})
    stack.clock.advance(60)
    path = f"/api/v1/subscriptions/{made['id']}/cancel"
    assert (await stack.client.post(path, json={"at_period_end": True})).status_code == 200
    told = msgspec.json.decode(msgspec.json.encode(stack.simulator.state.all("event")))
    shown = {event["data"]["object"].get("metadata", {}).get("touched"): event for event in told}
    first = shown["first"]
    body = msgspec.json.encode(first)
    signature = sign(body, secret=DEVELOPMENT_WEBHOOK_SECRET, timestamp=int(stack.clock.timestamp()))
    assert (await stack.client.post(PATH, content=body, headers={"Stripe-Signature": signature})).status_code == 200

    async def applied() -> bool:
        return "applied" in {row["state"] for row in await stack.rows(events) if row["id"] == first["id"]}

    await stack.until(applied)
    (row,) = await stack.rows(subscriptions)
    assert (row["metadata"], row["cancel_at_period_end"]) == ({"touched": "last"}, True)
    outbox_rows = [entry["after"] for entry in await stack.rows(outbox) if entry["object_id"] == row["id"]]
    assert {"touched": "first"} not in [after.get("metadata") for after in outbox_rows]


@pytest.mark.parametrize("seed", range(4))
async def test_detaching_choosing_and_subscribing_with_one_card_at_once_end_as_stripe_has_it(
    stack: Stack, seed: int
) -> None:
    """Whoever comes first: Stripe and the mirror agree, nothing is charged twice, and no answer is a fault of ours."""
    made = (await stack.client.post("/api/v1/customers", json={"reference": "user-1"})).json()
    routes = stack.simulator.routes
    method = routes.methods.attach("pm_card_visa", made["stripe_customer_id"])
    body = {"price_id": PRICE, "customer_id": made["id"], "payment_method_id": method["id"]}
    path = f"/api/v1/payment-methods/{method['id']}"
    wanted = [(f"{path}/detach", {}), (f"{path}/set-default", {}), (CREATE, body)]
    calls = [(path, body, number) for number, (path, body) in enumerate(wanted * 2)]
    Random(seed).shuffle(calls)

    async def send(path: str, body: dict[str, Any], number: int) -> int:
        key = {"Idempotency-Key": f"race-{number}"}
        return (await stack.client.post(path, json=body, headers=key)).status_code

    statuses = await asyncio.gather(*(send(*call) for call in calls))
    assert set(statuses) <= {200, 201, 402, 404, 409, 422, 429}, statuses
    assert len(stack.charges()) <= 1

    async def agrees() -> bool:
        rows = {row["id"]: row for row in await stack.rows(payment_methods)}
        (payer,) = (row for row in await stack.rows(customers) if row["id"] == made["id"])
        at_stripe = stack.simulator.state.get("customer", made["stripe_customer_id"])
        default = at_stripe["invoice_settings"]["default_payment_method"]
        return bool(rows) and rows[method["id"]]["detached"] and payer["default_payment_method_id"] == default is None

    await stack.until(agrees)
