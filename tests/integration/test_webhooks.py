"""POST /api/v1/webhooks/stripe and what becomes of the events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from prometheus_client import generate_latest
from sqlalchemy import update
from tests.integration.test_customer_identity import deaf
from tests.servers.hostile import HOSTILE, snapshot

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events.routes import MAXIMUM_BYTES, PATH
from payment_service.mirror.invoice import invoices
from payment_service.observability import metrics
from payment_service.storage.tables import customers, events, subscriptions
from payment_service.stripe_api.signature import sign
from stripe_simulator.faults import WebhookFault

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


@pytest.mark.parametrize("names", ["account", "context"])
async def test_an_event_of_another_account_is_kept_with_the_reason_counted_and_never_applied(
    stack: Stack, names: str
) -> None:
    labels = {"type": "customer.created", "outcome": "ignored"}
    before = metrics.REGISTRY.get_sample_value("payments_events_total", labels) or 0.0
    theirs = {"id": "cus_theirs", "object": "customer", "email": "ada@example.com", "livemode": False}
    content = event(stack, type="customer.created", data={"object": theirs}, **{names: "acct_other"})
    assert (await send(stack, content)).status_code == 200
    (row,) = await stack.rows(events)
    assert (row["state"], row["last_error"]) == ("ignored", "other_account")
    assert metrics.REGISTRY.get_sample_value("payments_events_total", labels) == before + 1
    async with stack.parts.database.transaction() as connection:
        await connection.execute(update(events).values(state="pending"))  # as `payments inbox retry` does
    stack.parts.worker.wake()

    async def settled() -> bool:
        return [row["state"] for row in await stack.rows(events)] == ["ignored"]

    await stack.until(settled)
    assert await stack.rows(customers) == []


async def test_an_event_that_our_account_lists_is_ours_whatever_account_it_names(stack: Stack) -> None:
    """An organization's destination names the account in each event (docs.stripe.com/api/events/object)."""
    deaf(stack)
    made = stack.simulator.routes.customers.create({"email": "ada@example.com"})
    (told,) = [found for found in stack.simulator.state.all("event") if found["type"] == "customer.created"]
    told = msgspec.json.decode(msgspec.json.encode(told | {"context": "acct_ours"}))
    assert (await send(stack, told)).status_code == 200
    assert [(row["state"], row["last_error"]) for row in await stack.rows(events)] == [("ignored", "other_account")]
    stack.clock.advance(600)
    report = await stack.parts.reconciler.run(full=False)
    assert report.missed["customer"] == 1

    async def applied() -> bool:
        return [row["state"] for row in await stack.rows(events) if row["id"] == told["id"]] == ["applied"]

    await stack.until(applied)
    assert [row["stripe_customer_id"] for row in await stack.rows(customers)] == [made["id"]]
    assert not (await stack.parts.reconciler.run(full=False)).missed


async def test_a_wrong_signature_writes_nothing(stack: Stack) -> None:
    answer = await send(stack, event(stack), secret="whsec_other")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_signature"
    assert await stack.rows(events) == []


async def test_a_signed_body_that_is_no_event_is_kept_dead_with_its_reason(stack: Stack) -> None:
    """Stripe must not repeat it for days and then forget it; copies of it are one row."""
    stack.parts.worker.claiming = False
    bodies = [body("evt_1", "cus_1") for kind in HOSTILE.values() for body in kind]
    for body in bodies:
        assert (await send(stack, body)).status_code == 200
    rows = await stack.rows(events)
    assert {row["state"] for row in rows} == {"dead"}
    assert all(row["last_error"].startswith("unreadable: ") for row in rows)
    assert {row["payload"] for row in rows} <= set(bodies)
    named = next(row for row in rows if row["id"] == "evt_1")
    assert (named["type"], named["object_id"]) == ("customer.updated", "cus_1")


async def test_a_redelivery_that_can_be_read_takes_the_place_of_one_that_could_not(stack: Stack) -> None:
    await send(stack, HOSTILE["number"][0]("evt_1", "cus_1"))
    await send(stack, snapshot("evt_1", "cus_1"))

    async def applied() -> bool:
        return [(row["state"], row["last_error"]) for row in await stack.rows(events)] == [("applied", None)]

    assert await stack.until(applied)


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


@pytest.mark.parametrize("named", ["..", "203.0.113.77", "4242424242424242", "evt_" + "x" * 125])
async def test_an_event_is_kept_under_an_id_that_a_person_can_name(stack: Stack, named: str) -> None:
    assert (await send(stack, event(stack, id=named, type="ada@example.com"))).status_code == 200
    (row,) = await stack.rows(events)
    assert (row["id"].partition("_")[0], row["state"]) == ("unreadable", "dead")
    shown = await stack.client.get(f"/api/v1/admin/inbox/{row['id']}?payload=true")
    assert shown.status_code == 200
    assert named in shown.text


async def test_no_metric_takes_a_label_from_an_event(stack: Stack) -> None:
    for number in range(3):
        content = event(stack, id=f"evt_label_{number}", type=f"person{number}@example.com", livemode=True)
        assert (await send(stack, content)).status_code == 200
    assert b"@example.com" not in generate_latest(metrics.REGISTRY)
