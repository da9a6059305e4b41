"""What the worker sends to webhook endpoints, received by a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update
from tests.servers.webhook_receiver import OK, receiving

from payment_service.deliveries.addresses import read_rules
from payment_service.deliveries.sender import Sender
from payment_service.endpoints import deliverer, holding
from payment_service.endpoints.building import build_deliverer
from payment_service.endpoints.secrets import SigningKeys
from payment_service.storage.mirror import write_outbox
from payment_service.storage.tables import audit_log
from payment_service.storage.webhook_tables import webhook_deliveries, webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack
    from tests.servers.webhook_receiver import Got, Receiver

ENDPOINTS = "/api/v1/webhook-endpoints"
DELIVERIES = "/api/v1/webhook-deliveries"
CARD: dict[str, Any] = {"payment_method_id": "pm_card_visa"}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def endpoint(stack: Stack, receiver: Receiver, **body: Any) -> dict[str, Any]:
    answer = await stack.client.post(
        ENDPOINTS, json={"url": receiver.url, "event_types": ["webhook_endpoint.*"], **body}
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def change(stack: Stack, *products: str) -> None:
    """Let one change of each of these be committed, in this order."""
    for product in products:
        async with stack.parts.database.transaction() as connection:
            await write_outbox(
                connection,
                object_type="webhook_endpoint.disabled",  # told as it is written: there is no row to read
                object_id=product,
                before=None,
                after={"id": product, "reason": "gone", "failing_since": None},
                cause="fetch",
                now=stack.clock.now(),
            )
    await stack.parts.sequencer.number_all()


async def deliveries(stack: Stack, **params: Any) -> list[dict[str, Any]]:
    answer = await stack.client.get(DELIVERIES, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def settled(stack: Stack, state: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many deliveries are in a state, and return them."""

    async def there() -> list[dict[str, Any]]:
        found = await deliveries(stack, state=state, limit=100)
        return found if len(found) >= count else []

    found: list[dict[str, Any]] = await stack.until(there)
    return found


async def shown(stack: Stack, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await stack.client.get(f"{ENDPOINTS}/{made['id']}")).json()
    return found


def later(stack: Stack, seconds: float) -> None:
    """Let time pass; who waits for a moment waits by another clock."""
    stack.clock.advance(seconds)
    stack.parts.deliverer.wake()


def failing(object_id: str, status: int = 500, **headers: str) -> Any:
    """Return an answer that fails whatever is about an object."""

    def answer(got: Got) -> Any:
        return (status, headers) if got.event["object_id"] == object_id else OK

    return answer


async def test_a_change_arrives_signed_in_the_shape_of_the_feed(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver, event_types=[])
    answer = await stack.create(email="ada@example.com", **CARD)
    assert answer.status_code == 201, answer.text

    async def arrived() -> bool:
        return "subscription.created" in receiver.types and "invoice.paid" in receiver.types

    await stack.until(arrived)
    feed = {event["id"]: event for event in (await stack.client.get("/api/v1/events")).json()["data"]}
    for got in receiver.got:
        got.verify(made["secret"])
        assert got.headers["webhook-id"] == got.event["id"]
        assert got.headers["content-type"] == "application/json"
        assert feed[got.event["id"]]["data"]["object"]["id"] == got.event["data"]["object"]["id"]
    for object_id in {got.event["object_id"] for got in receiver.got}:
        sequences = receiver.sequences(object_id)
        assert sequences == sorted(set(sequences))
    first = (await settled(stack, "delivered", 1))[-1]
    assert (first["attempts"], first["last_status"], first["last_error"], first["waits_for"]) == (1, 200, None, None)


async def test_both_secrets_sign_during_the_overlap_of_a_rotation(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    path = f"{ENDPOINTS}/{made['id']}/rotate-secret"
    rotated = (await stack.client.post(path, json={"overlap_hours": 1})).json()
    await change(stack, "one")
    await settled(stack, "delivered", 1)
    for secret in (made["secret"], rotated["secret"]):
        receiver.got[0].verify(secret)
    stack.clock.advance(3601)
    await change(stack, "two")
    await settled(stack, "delivered", 2)
    assert len(receiver.got[-1].headers["webhook-signature"].split()) == 1


async def test_only_what_is_asked_for_is_sent(stack: Stack, receiver: Receiver) -> None:
    await endpoint(stack, receiver, event_types=["customer.created"], customer_metadata={"tier": "gold"})
    for name, metadata in (("ada", {"tier": "gold", "x": "1"}), ("eve", {"tier": "tin"}), ("bob", {})):
        body = {"email": f"{name}@example.com", "metadata": metadata}
        assert (await stack.client.post("/api/v1/customers", json=body)).status_code == 201

    async def looked() -> bool:
        rows = await stack.rows(webhook_endpoints)
        feed = (await stack.client.get("/api/v1/events", params={"types": "customer.created"})).json()["data"]
        return len(feed) == 3 and bool(rows[0]["reached"] >= feed[-1]["sequence"]) and bool(receiver.got)

    await stack.until(looked)
    assert receiver.types == ["customer.created"]
    assert receiver.got[0].event["data"]["object"]["metadata"]["tier"] == "gold"


async def test_what_fails_keeps_its_object_waiting_and_no_other(stack: Stack, receiver: Receiver) -> None:
    await endpoint(stack, receiver)
    receiver.answer = failing("one")
    await change(stack, "one", "two", "one", "two", "one")
    await settled(stack, "delivered", 2)
    assert len(receiver.sequences("two")) == 2
    last, middle, first = [one for one in await deliveries(stack, object="one") if one["state"] == "pending"]
    assert (first["waits_for"], middle["waits_for"], last["waits_for"]) == (None, first["id"], first["id"])
    assert (first["attempts"], first["last_status"], first["last_error"]) == (1, 500, "status")
    receiver.answer = lambda _: OK
    skipped = await stack.client.post(f"{DELIVERIES}/{first['id']}/skip", json={})
    assert skipped.json()["state"] == "skipped"
    await settled(stack, "delivered", 4)
    assert receiver.sequences("one") == sorted(receiver.sequences("one"))
    assert len(receiver.sequences("one")) == 3


async def test_it_is_tried_again_later_with_the_same_id_and_then_the_others_follow(
    stack: Stack, receiver: Receiver
) -> None:
    await endpoint(stack, receiver)
    receiver.answer = failing("one")
    await change(stack, "one", "one")

    async def tried() -> bool:
        return any(one["attempts"] for one in await deliveries(stack, object="one"))

    await stack.until(tried)
    receiver.answer = lambda _: OK
    later(stack, 7)
    await settled(stack, "delivered", 2)
    first, again, second = receiver.sequences("one")
    assert first == again < second
    assert receiver.got[0].headers["webhook-id"] == receiver.got[1].headers["webhook-id"]


async def test_who_asks_to_be_left_alone_is(stack: Stack, receiver: Receiver) -> None:
    await endpoint(stack, receiver)
    receiver.answer = failing("one", 429, **{"retry-after": "120"})
    await change(stack, "one")

    async def tried() -> bool:
        return any(one["attempts"] for one in await deliveries(stack))

    await stack.until(tried)
    (row,) = await stack.rows(webhook_deliveries)
    assert row["due_at"] >= row["attempted_at"] + timedelta(seconds=119)
    await change(stack, "two")
    later(stack, 60)
    await asyncio.sleep(2)
    assert len(receiver.got) == 1
    receiver.answer = lambda _: OK
    later(stack, 120)
    await settled(stack, "delivered", 2)


async def test_one_that_is_gone_is_disabled_told_of_and_goes_on_when_it_is_enabled(
    stack: Stack, receiver: Receiver
) -> None:
    made = await endpoint(stack, receiver)
    receiver.answer = lambda _: (410, {})
    await change(stack, "one")

    async def disabled() -> bool:
        return not (await shown(stack, made))["enabled"]

    await stack.until(disabled)
    assert (await shown(stack, made))["disabled_reason"] == "gone"

    async def told() -> list[dict[str, Any]]:
        found = (await stack.client.get("/api/v1/events", params={"object": made["id"]})).json()["data"]
        return [event["data"]["object"] for event in found]

    assert await stack.until(told) == [{"id": made["id"], "reason": "gone", "failing_since": None}]
    assert [row["action"] for row in await stack.rows(audit_log)][-1] == "webhook_endpoint.disable"
    await change(stack, "two")
    receiver.answer = lambda _: OK
    await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"enabled": True})
    await settled(stack, "delivered", 3)
    assert {"one", "two"} <= {got.event["object_id"] for got in receiver.got[1:]}


async def test_one_that_fails_for_five_days_is_disabled(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    receiver.answer = lambda _: (500, {})
    await change(stack, "one")

    async def failed() -> bool:
        return (await shown(stack, made))["failing_since"] is not None

    await stack.until(failed)
    later(stack, 5 * 86_400 + 60)

    async def disabled() -> bool:
        return not (await shown(stack, made))["enabled"]

    await stack.until(disabled)
    assert (await shown(stack, made))["disabled_reason"] == "failing"


async def test_a_success_forgets_the_failures(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    receiver.answer = failing("one")
    await change(stack, "one")

    async def failed() -> bool:
        return (await shown(stack, made))["failing_since"] is not None

    await stack.until(failed)
    await change(stack, "two")
    await settled(stack, "delivered", 1)
    assert (await shown(stack, made))["failing_since"] is None


async def test_endpoints_that_hang_for_ever_take_nothing_that_another_needs(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "GRACE_SECONDS", 0.1)
    stack.parts.worker.set_claiming(claim=False)
    settings = stack.parts.settings
    sending = deliverer.Deliverer(
        stack.parts.database,
        sender=Sender(read_rules(settings), version="1", timeout_seconds=3_600),
        keys=SigningKeys(settings.deliveries.signing_key),
        clock=stack.clock,
        livemode=False,
        lease_seconds=60,
        retention_days=1,
    )
    async with receiving() as hanging:
        hanging.answer = lambda _: None
        for _ in range(2 * deliverer.TURNS):
            await endpoint(stack, hanging)
        made = await endpoint(stack, receiver)
        await change(stack, *(f"object_{number}" for number in range(30)))

        async def arrived() -> bool:
            await sending.look()
            return len(await deliveries(stack, endpoint=made["id"], state="delivered", limit=100)) == 30

        await stack.until(arrived)
        others = [row for row in await stack.rows(webhook_deliveries) if row["endpoint_id"] != made["id"]]
        assert len(others) == 2 * deliverer.TURNS * 30
        assert {row["attempts"] for row in others} == {0}
        assert 0 < len(hanging.got) <= 2 * deliverer.TURNS * holding.AT_ONCE
        await sending.close()


async def test_a_test_event_is_sent_once(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver, event_types=["invoice.paid"])
    receiver.answer = lambda _: (500, {})
    await stack.client.post(f"{ENDPOINTS}/{made['id']}/test", json={})
    (failed,) = await settled(stack, "failed", 1)
    assert (failed["attempts"], failed["last_status"]) == (1, 500)
    receiver.got[0].verify(made["secret"])
    assert receiver.types == ["webhook_endpoint.test"]


async def test_what_a_killed_worker_held_is_sent_by_another(stack: Stack, receiver: Receiver) -> None:
    stack.parts.worker.set_claiming(claim=False)
    await endpoint(stack, receiver)
    await change(stack, *(f"object_{number % 4}" for number in range(20)))
    killed = build_deliverer(stack.parts.settings, stack.parts.database, version="1", clock=stack.clock)
    receiver.answer = lambda _: None
    await killed.look()

    async def under_way() -> bool:
        return len(receiver.got) >= 4

    await stack.until(under_way)
    await forget_holder(stack)
    receiver.answer = lambda _: OK
    other = build_deliverer(stack.parts.settings, stack.parts.database, version="1", clock=stack.clock)
    receiver.got.clear()
    await other.look()
    await asyncio.sleep(1)
    assert receiver.got == []  # its lease lasts
    stack.clock.advance(61)
    await forget_holder(stack)
    while len(await deliveries(stack, state="delivered", limit=100)) < 20:
        await other.look()
        await asyncio.sleep(0.1)
    for number in range(4):
        assert receiver.sequences(f"object_{number}") == sorted(receiver.sequences(f"object_{number}"))
    assert len({got.event["sequence"] for got in receiver.got}) == 20
    await killed.close()
    await other.close()


async def forget_holder(stack: Stack) -> None:
    """Let the present holder write nothing more, as one that was killed."""
    async with stack.parts.database.transaction() as connection:
        await connection.execute(update(webhook_endpoints).values(lease_owner="killed"))


async def test_several_workers_send_each_event_once_and_in_order(stack: Stack, receiver: Receiver) -> None:
    stack.parts.worker.set_claiming(claim=False)
    made = [await endpoint(stack, receiver) for _ in range(3)]
    await change(stack, *(f"object_{number % 5}" for number in range(60)))
    workers = [
        build_deliverer(stack.parts.settings, stack.parts.database, version="1", clock=stack.clock) for _ in range(3)
    ]

    async def done() -> bool:
        await asyncio.gather(*(worker.look() for worker in workers))
        counts = [len(await deliveries(stack, endpoint=one["id"], state="delivered", limit=100)) for one in made]
        return counts == [60, 60, 60]

    await stack.until(done)
    assert len(receiver.got) == 180
    for number in range(5):
        by_secret: dict[str, list[int]] = {}
        for got in receiver.got:
            if got.event["object_id"] == f"object_{number}":
                owner = next(one["id"] for one in made if _is_signed(got, one["secret"]))
                by_secret.setdefault(owner, []).append(got.event["sequence"])
        assert all(sequences == sorted(sequences) for sequences in by_secret.values())
    for worker in workers:
        await worker.close()


def _is_signed(got: Got, secret: str) -> bool:
    try:
        got.verify(secret)
    except Exception:  # noqa: BLE001 - the library's own
        return False
    return True
