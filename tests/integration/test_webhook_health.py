"""What says how an endpoint does: its own answers, as long as people and this service's own faults do not say more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.test_webhook_deliveries import ENDPOINTS, change, deliveries, endpoint, later, settled, shown
from tests.servers.webhook_receiver import OK, receiving

from payment_service.config.secrets import Secret
from payment_service.deliveries.sender import TIMEOUT_SECONDS
from payment_service.endpoints import outcomes
from payment_service.endpoints.building import build_deliverer
from payment_service.storage.webhook_tables import webhook_deliveries, webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack
    from tests.servers.webhook_receiver import Got, Receiver

FIVE_DAYS = outcomes.FAILING.total_seconds() + 60


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def tried(stack: Stack, object_id: str, times: int) -> None:
    """Wait until the attempts at what is about an object are so many."""

    async def often() -> bool:
        rows = await stack.rows(webhook_deliveries)
        return any(row["object_id"] == object_id and row["attempts"] >= times for row in rows)

    await stack.until(often)


async def given_back(stack: Stack) -> None:
    """Wait until no worker holds an endpoint."""

    async def free() -> bool:
        return all(row["lease_owner"] is None for row in await stack.rows(webhook_endpoints))

    await stack.until(free)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # an attempt lasts fifteen seconds
async def test_a_new_address_is_not_kept_waiting_for_what_the_old_one_answered(
    stack: Stack, receiver: Receiver
) -> None:
    def answer(got: Got) -> Any:
        return None if got.event["object_id"] == "hangs" else (503, {"retry-after": "3600"})

    async with receiving() as former:
        former.answer = answer
        made = await endpoint(stack, former)
        await change(stack, "hangs", "one")
        await tried(stack, "one", 1)
        changed = await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"url": receiver.url})
        assert changed.status_code == 200
    await tried(stack, "hangs", 1)
    await given_back(stack)
    (row,) = await stack.rows(webhook_endpoints)
    assert (row["failures"], row["failing_since"]) == (0, None)
    await change(stack, "two")
    await settled(stack, "delivered", 1)
    assert "two" in {got.event["object_id"] for got in receiver.got}


async def test_time_in_which_nothing_waited_is_no_time_of_failures(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    receiver.answer = lambda _: (500, {})
    assert (await stack.client.post(f"{ENDPOINTS}/{made['id']}/test", json={})).status_code == 202
    await settled(stack, "failed", 1)
    await given_back(stack)
    assert (await shown(stack, made))["failing_since"] is None
    later(stack, FIVE_DAYS)
    await change(stack, "one")
    await tried(stack, "one", 1)
    await given_back(stack)
    told = await shown(stack, made)
    assert (told["enabled"], told["failing_since"] is None) == (True, False)


async def test_what_cannot_be_signed_is_no_fault_of_the_endpoint(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    receiver.answer = lambda _: (500, {})
    await change(stack, "one")
    await tried(stack, "one", 1)
    await given_back(stack)
    assert (await shown(stack, made))["failing_since"] is not None
    stack.parts.worker.set_claiming(claim=False)
    another = replace(stack.parts.settings.deliveries, signing_key=Secret("another value of thirty-two chars"))
    settings = replace(stack.parts.settings, deliveries=another)
    keyless = build_deliverer(settings, stack.parts.database, version="1", clock=stack.clock)
    stack.clock.advance(3_600)

    async def forgotten() -> bool:
        await keyless.look()
        return (await shown(stack, made))["failing_since"] is None

    await stack.until(forgotten)
    await keyless.close()
    await given_back(stack)
    stack.parts.worker.set_claiming(claim=True)
    later(stack, FIVE_DAYS)
    await tried(stack, "one", 2)
    await given_back(stack)
    assert (await shown(stack, made))["enabled"]
    receiver.answer = lambda _: OK
    later(stack, 86_400)
    await settled(stack, "delivered", 1)


async def test_a_fault_of_the_sending_is_no_fault_of_the_endpoint(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await endpoint(stack, receiver)

    def broken(*_: object, **__: object) -> bytes:
        raise RuntimeError("of ours")

    with monkeypatch.context() as patched:
        patched.setattr("payment_service.endpoints.holding.msgspec.json.encode", broken)
        await change(stack, "one")
        await tried(stack, "one", 1)
    told = await shown(stack, made)
    assert (told["failing_since"], receiver.got) == (None, [])
    later(stack, 60)
    await settled(stack, "delivered", 1)


async def test_an_attempt_ends_before_another_worker_may_take_its_endpoint(stack: Stack, receiver: Receiver) -> None:
    stack.parts.worker.set_claiming(claim=False)
    receiver.answer = lambda _: None
    await endpoint(stack, receiver)
    await change(stack, "one")
    settings = replace(stack.parts.settings, work=replace(stack.parts.settings.work, event_lease_seconds=1))
    sending = build_deliverer(settings, stack.parts.database, version="1", clock=stack.clock)
    await sending.look()

    async def begun() -> bool:
        return bool(receiver.got)

    await stack.until(begun)
    (row,) = await stack.rows(webhook_endpoints)
    assert (row["lease_until"] - stack.clock.now()).total_seconds() > TIMEOUT_SECONDS
    assert await deliveries(stack, state="delivered") == []
    receiver.answer = lambda _: OK
    await sending.close()
