"""POST /api/v1/webhooks/stripe and what becomes of the events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from payment_service.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.simulator.faults import WebhookFault
from payment_service.tables import events, invoices, subscriptions
from payment_service.webhooks.routes import MAXIMUM_BYTES, PATH
from payment_service.webhooks.signature import sign

if TYPE_CHECKING:
    import httpx
    from tests.servers.stack import Stack

CARD = "pm_card_visa"


def event(stack: Stack, **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(stack.clock.timestamp()),
        "livemode": False,
        "type": "plan.created",
        "data": {"object": {"id": "plan_1", "object": "plan"}},
    } | changes


async def send(
    stack: Stack, content: dict[str, Any] | bytes, *, secret: str = DEVELOPMENT_WEBHOOK_SECRET
) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signature = sign(body, secret=secret, timestamp=int(stack.clock.timestamp()))
    return await stack.client.post(PATH, content=body, headers={"Stripe-Signature": signature})


async def test_a_signed_event_is_stored_before_the_answer(stack: Stack) -> None:
    assert (await send(stack, event(stack))).status_code == 200
    assert [row["id"] for row in await stack.rows(events)] == ["evt_1"]


async def test_copies_of_an_event_are_one_row(stack: Stack) -> None:
    for _ in range(5):
        assert (await send(stack, event(stack))).status_code == 200
    assert len(await stack.rows(events)) == 1


async def test_an_unknown_kind_is_kept_and_ignored(stack: Stack) -> None:
    await send(stack, event(stack))

    async def ignored() -> bool:
        return [row["state"] for row in await stack.rows(events)] == ["ignored"]

    assert await stack.until(ignored)


async def test_an_event_of_the_other_mode_is_kept_and_not_applied(stack: Stack) -> None:
    await send(stack, event(stack, livemode=True))
    assert [row["state"] for row in await stack.rows(events)] == ["ignored"]


async def test_a_wrong_signature_writes_nothing(stack: Stack) -> None:
    answer = await send(stack, event(stack), secret="whsec_other")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_signature"
    assert await stack.rows(events) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 5}', b"\xff\xff"])
async def test_a_signed_body_that_is_no_event_is_400(stack: Stack, body: bytes) -> None:
    assert (await send(stack, body)).status_code == 400
    assert await stack.rows(events) == []


async def test_a_body_over_the_limit_is_413(stack: Stack) -> None:
    assert (await send(stack, b" " * (MAXIMUM_BYTES + 1))).status_code == 413


async def test_only_post_is_taken(stack: Stack) -> None:
    answer = await stack.client.get(PATH)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_duplicated_delayed_and_wrongly_signed_deliveries_end_in_the_same_rows(stack: Stack) -> None:
    faults = stack.simulator.faults.webhooks
    faults += [
        WebhookFault(kind="duplicate", type=r"invoice\..*", count=3),
        WebhookFault(kind="delay", type=r"customer\.subscription\.created", seconds=0.5),
        WebhookFault(kind="wrong_signature", type=r"charge\..*"),
        WebhookFault(kind="future_timestamp", type=r"payment_intent\..*"),
    ]
    await stack.create(email="ada@example.com", payment_method_id=CARD)
    made = [obj for obj in stack.simulator.state.all("event") if not obj["type"].startswith(("price", "product"))]
    expected = {obj["id"] for obj in made}

    async def settled() -> bool:
        rows = await stack.rows(events)
        return {row["id"] for row in rows} == expected and all(row["state"] != "pending" for row in rows)

    await stack.until(settled)
    assert [row["status"] for row in await stack.rows(subscriptions)] == ["active"]
    assert [(row["status"], row["amount_paid"]) for row in await stack.rows(invoices)] == [("paid", 2900)]


async def test_a_late_older_event_does_not_bring_back_an_older_state(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", payment_method_id=CARD)).json()
    old = stack.simulator.state.get("subscription", made["stripe_subscription_id"])
    snapshot = {name: value for name, value in old.items() if not name.startswith("_")} | {"status": "incomplete"}
    late = event(
        stack,
        id="evt_late",
        type="customer.subscription.updated",
        created=old["created"] - 10,
        data={"object": snapshot},
    )
    await send(stack, late)

    async def applied() -> bool:
        return any(row["id"] == "evt_late" and row["state"] == "applied" for row in await stack.rows(events))

    await stack.until(applied)
    assert [row["status"] for row in await stack.rows(subscriptions)] == ["active"]


async def test_a_renewal_moves_the_period(stack: Stack) -> None:
    made = (await stack.create(email="ada@example.com", payment_method_id=CARD)).json()
    stack.clock.advance(32 * 86400)

    async def renewed() -> bool:
        (row,) = await stack.rows(subscriptions)
        return bool(row["current_period_start"].isoformat()[:19] == made["current_period_end"][:19])

    assert await stack.until(renewed)
    assert len(stack.charges()) == 2
