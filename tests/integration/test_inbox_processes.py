"""Several processes on one database: APIs that receive, workers that apply, and a storm of copies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory
from tests.servers.process import free_port

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events import worker as worker_module
from payment_service.events.routes import PATH
from payment_service.mirror.registry import KINDS
from payment_service.storage.tables import events, outbox
from payment_service.stripe_api.signature import sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAYMENTS = Path(sys.executable).with_name("payments")
COPIES = 100
APIS, WORKERS = 2, 3
WAIT_SECONDS = 100.0


@pytest.fixture
async def lab(postgres_server: Any, migrated_template: str) -> AsyncIterator[Laboratory]:
    async with laboratory(postgres_server.new_database(template=migrated_template)) as found:
        yield found


@asynccontextmanager
async def processes(lab: Laboratory, folder: Path) -> AsyncIterator[list[str]]:
    """Run APIs and workers as processes of their own; the addresses of the APIs."""
    settings = lab.parts.settings
    environ = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "development",
        "DATABASE_URL": settings.database.url.reveal(),
        "STRIPE_API_BASE": settings.stripe.api_base,
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_DATABASE_POOL_SIZE": "4",
        "PAYMENTS_STRIPE_BACKGROUND_RATE": "200",
        "PAYMENTS_RECONCILE_SECONDS": "86400",
        "LOG_LEVEL": "ERROR",
    }
    ports = [free_port() for _ in range(APIS)]
    commands = [["serve", "--host", "127.0.0.1", "--port", str(port)] for port in ports] + [["worker"]] * WORKERS
    with ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen([PAYMENTS, *command], cwd=folder, env=environ)  # noqa: ASYNC220 - it starts at once
            stack.callback(process.wait, timeout=40)
            stack.callback(process.terminate)
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url in urls:
            await asyncio.to_thread(wait_until_ready, url)
        yield urls


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


async def deliver(urls: list[str], bodies: list[bytes]) -> list[int]:
    """Send every body to any of the APIs, many at a time."""
    sending = asyncio.Semaphore(32)
    async with httpx.AsyncClient(timeout=60) as client:

        async def send(number: int, body: bytes) -> int:
            signature = sign(body, secret=DEVELOPMENT_WEBHOOK_SECRET, timestamp=int(time.time()))
            async with sending:
                answer = await client.post(
                    urls[number % len(urls)] + PATH, content=body, headers={"Stripe-Signature": signature}
                )
            return answer.status_code

        return await asyncio.gather(*(send(number, body) for number, body in enumerate(bodies)))


@pytest.mark.timeout(400)
async def test_a_storm_of_copies_on_two_apis_and_three_workers_gives_each_object_one_true_row(
    lab: Laboratory, tmp_path: Path
) -> None:
    account = Account(lab.simulator, lab.clock, Random(11))
    for action in ("subscribe", "change customer", "cancel"):
        account.do(action)
    history = lab.history()
    bodies = [msgspec.json.encode(event) for event in history for _ in range(COPIES)]
    Random(12).shuffle(bodies)
    async with processes(lab, tmp_path) as urls:
        assert set(await deliver(urls, bodies)) == {200}
        deadline = time.monotonic() + WAIT_SECONDS
        while await lab.waiting():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    rows = {row["id"]: row for row in await lab.rows(events)}
    assert {event_id for event_id in rows if not event_id.startswith("rec_")} == {event["id"] for event in history}
    assert {row["state"] for row in rows.values()} <= {"applied", "ignored"}
    mirrored = await lab.mirror()
    for kind, target in KINDS.items():
        assert len(mirrored[kind]) == len(await lab.rows(target.table))
    told = {kind: {event["data"]["object"]["id"] for event in history if object_kind(event) == kind} for kind in KINDS}
    assert {kind: set(found) for kind, found in mirrored.items()} == told
    made = [(row["object_type"], row["object_id"]) for row in await lab.rows(outbox) if row["before"] is None]
    assert len(made) == len(set(made))


def object_kind(event: dict[str, Any]) -> str:
    return str(event["data"]["object"]["object"])


async def test_a_worker_in_another_process_is_woken_by_the_commit(
    lab: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 3600.0)
    working = asyncio.create_task(lab.parts.worker.run())
    async with laboratory(lab.parts.settings.database.url.reveal()) as other:
        try:
            await asyncio.sleep(1.0)
            for number in range(5):
                event = customer_event(lab, number)
                await other.parts.inbox.receive(event, signature(other, event))
                await until_applied(lab)
        finally:
            lab.parts.worker.stop()
            await working


async def test_polling_finds_what_no_notification_told(lab: Laboratory) -> None:
    working = asyncio.create_task(lab.parts.worker.run())
    try:
        await asyncio.sleep(0.5)
        await lab.receive([msgspec.json.decode(customer_event(lab, 1))])
        await until_applied(lab)
    finally:
        lab.parts.worker.stop()
        await working


async def test_a_lost_listening_connection_is_opened_again(lab: Laboratory, postgres_server: Any) -> None:
    database = lab.parts.settings.database.url.reveal().rpartition("/")[2]
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE application_name = 'payments-listener' AND datname = '{database}'"
    )
    working = asyncio.create_task(lab.parts.worker.run())
    try:
        seen = 0
        async with asyncio.timeout(60):
            while seen < 2:
                seen += len(await asyncio.to_thread(postgres_server.execute, kill))
                await asyncio.sleep(0.2)
        assert not working.done()
    finally:
        lab.parts.worker.stop()
        await working


async def until_applied(lab: Laboratory) -> None:
    async with asyncio.timeout(40):
        while await lab.waiting():  # noqa: ASYNC110 - the row tells nobody
            await asyncio.sleep(0.02)


def customer_event(lab: Laboratory, number: int) -> bytes:
    obj = {"id": f"cus_{number}", "object": "customer", "livemode": False, "metadata": {}}
    return msgspec.json.encode(
        {
            "id": f"evt_{number}",
            "object": "event",
            "type": "customer.created",
            "created": int(lab.clock.timestamp()),
            "livemode": False,
            "data": {"object": obj},
        }
    )


def signature(lab: Laboratory, body: bytes) -> str:
    return sign(body, secret=DEVELOPMENT_WEBHOOK_SECRET, timestamp=int(lab.clock.timestamp()))
