"""When a worker looks for webhooks to send: when something happens, and hardly ever otherwise."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import event, update
from tests.integration.test_webhook_deliveries import ENDPOINTS, change, endpoint, settled
from tests.servers.webhook_receiver import OK, receiving

from payment_service import working
from payment_service.bootstrap import build, create_app
from payment_service.caching.redis import close, connect
from payment_service.cli import main
from payment_service.config.secrets import Secret
from payment_service.endpoints import supply
from payment_service.endpoints.building import build_deliverer
from payment_service.storage.notifications import FEED_CHANNEL
from payment_service.storage.webhook_tables import webhook_deliveries, webhook_endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer
    from tests.servers.webhook_receiver import Receiver

    from payment_service.storage.database import Database


@pytest.fixture(autouse=True)
def only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look for nothing that nobody told them of."""
    monkeypatch.setattr(working, "LOOK_SECONDS", 3_600.0)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


LOOKING = "lease_until"
"""What only those ask for who look or send."""
DELIVERIES = 150


def statements(database: Database, word: str) -> list[str]:
    """Return what is asked of a database from now on that holds a word."""
    run: list[str] = []

    def note(*given: Any) -> None:
        if word in given[2]:
            run.append(given[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    return run


@pytest.mark.parametrize("endpoints", [0, 3])
async def test_a_look_that_finds_nothing_is_one_question(stack: Stack, receiver: Receiver, endpoints: int) -> None:
    stack.parts.worker.set_claiming(claim=False)
    for _ in range(endpoints):
        await endpoint(stack, receiver)
    other = build(stack.parts.settings, clock=stack.clock)
    run = statements(other.database, LOOKING)
    await other.deliverer.look()
    assert len(run) == 1
    await other.close()


async def test_nothing_is_asked_while_nothing_happens(stack: Stack, receiver: Receiver) -> None:
    await endpoint(stack, receiver)
    await change(stack, "one")
    await settled(stack, "delivered", 1)
    run = statements(stack.parts.database, LOOKING)

    async def silent() -> bool:
        before = len(run)
        await asyncio.sleep(1.5)
        return len(run) == before

    await stack.until(silent)


async def test_an_event_and_who_changes_an_endpoint_have_it_looked(stack: Stack, receiver: Receiver) -> None:
    made = await endpoint(stack, receiver)
    await change(stack, "one")
    await settled(stack, "delivered", 1)
    await stack.client.post(f"{ENDPOINTS}/{made['id']}/test", json={})
    await settled(stack, "delivered", 2)
    await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"enabled": False})
    await change(stack, "two")
    await stack.client.patch(f"{ENDPOINTS}/{made['id']}", json={"enabled": True})
    await settled(stack, "delivered", 3)


async def test_another_process_has_it_looked(stack: Stack, receiver: Receiver) -> None:
    if not stack.parts.database.dialect.notifies:
        pytest.skip("without Redis nobody tells another process")
    made = await endpoint(stack, receiver)
    await asyncio.sleep(1)
    second = build(stack.parts.settings, clock=stack.clock)
    transport: Any = httpx.ASGITransport(app=create_app(second))  # type: ignore[arg-type] # ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://second") as client:
        assert (await client.post(f"{ENDPOINTS}/{made['id']}/test", json={})).status_code == 202
        await settled(stack, "delivered", 1)
    await change(replace(stack, parts=second), "one")
    await settled(stack, "delivered", 2)
    await second.close()


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[None]]:
    """Return what runs a command, with further settings, beside the server."""
    monkeypatch.chdir(tmp_path)
    environ = {"ENVIRONMENT": "development", "DATABASE_URL": database_url, "LOG_LEVEL": "ERROR"}

    async def command(*words: str, **more: str) -> None:
        done = await asyncio.to_thread(CliRunner().invoke, main, words, env=environ | more, catch_exceptions=False)
        assert done.exit_code == 0, done.output

    return command


async def test_a_command_has_it_looked(stack: Stack, receiver: Receiver, run: Callable[..., Awaitable[None]]) -> None:
    if not stack.parts.database.dialect.notifies:
        pytest.skip("without Redis nobody tells another process")
    made = await endpoint(stack, receiver)
    await asyncio.sleep(1)
    receiver.answer = lambda _: (500, {})
    await run("endpoints", "test", made["id"])
    (failed,) = await settled(stack, "failed", 1)
    receiver.answer = lambda _: OK
    await run("deliveries", "retry", failed["id"])
    await settled(stack, "delivered", 1)
    await run("endpoints", "disable", made["id"])
    await change(stack, "one")
    await run("endpoints", "enable", made["id"])
    await settled(stack, "delivered", 2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_command_tells_it_by_redis(
    stack: Stack, receiver: Receiver, run: Callable[..., Awaitable[None]], valkey_server: ValkeyServer
) -> None:
    made = await endpoint(stack, receiver)
    client = connect(Secret(valkey_server.url))
    async with client.pubsub() as heard:
        await heard.subscribe(FEED_CHANNEL)
        await run("endpoints", "test", made["id"], REDIS_URL=valkey_server.url)
        async with asyncio.timeout(20):
            while await heard.get_message(ignore_subscribe_messages=True, timeout=1.0) is None:
                pass
    away = "redis://127.0.0.1:1"
    await run("endpoints", "test", made["id"], REDIS_URL=away)
    await run("inbox", "list", REDIS_URL=away)
    assert len(await stack.rows(webhook_deliveries)) == 2
    await close(client)


async def test_it_is_looked_when_the_next_delivery_is_due(stack: Stack, receiver: Receiver) -> None:
    stack.parts.worker.set_claiming(claim=False)
    made = await endpoint(stack, receiver)
    await stack.client.post(f"{ENDPOINTS}/{made['id']}/test", json={})
    async with stack.parts.database.transaction() as connection:
        soon = stack.clock.now() + timedelta(seconds=0.5)
        await connection.execute(update(webhook_endpoints).values(due_at=soon, resume_at=soon))
    deliverer = build_deliverer(stack.parts.settings, stack.parts.database, version="1", clock=stack.clock)
    await deliverer.look()
    assert receiver.got == []
    async with asyncio.timeout(30):
        await deliverer.woken.wait()
    await deliverer.look()
    await settled(stack, "delivered", 1)
    await deliverer.close()


async def test_a_delivery_costs_few_statements(stack: Stack, receiver: Receiver) -> None:
    stack.parts.worker.set_claiming(claim=False)
    await endpoint(stack, receiver)
    await change(stack, *(f"object_{number}" for number in range(DELIVERIES)))
    other = build(stack.parts.settings, clock=stack.clock)
    run = statements(other.database, "webhook")
    await other.deliverer.look()

    async def arrived() -> bool:
        return len(receiver.got) == DELIVERIES

    await stack.until(arrived)
    assert len(run) < DELIVERIES
    await other.close()


async def test_an_event_that_several_endpoints_want_is_not_read_again_to_be_sent(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supply, "FRESH_SECONDS", 60.0)
    stack.parts.worker.set_claiming(claim=False)
    for _ in range(3):
        await endpoint(stack, receiver)
    await change(stack, "one", "two")
    other = build(stack.parts.settings, clock=stack.clock)
    run = statements(other.database, "feed.sequence IN")
    await other.deliverer.look()
    await settled(stack, "delivered", 6)
    assert run == []
    await other.close()
