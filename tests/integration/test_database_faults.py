"""PostgreSQL full, without free connections or read-only: 503, nothing acknowledged is lost, full recovery."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from tests.requirements import require
from tests.servers.postgres import DURABLE, PostgresServer, wheel_programs
from tests.servers.stack import running_stack

from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET
from payment_service.events.routes import PATH
from payment_service.storage.tables import events, operations
from payment_service.stripe_api import calls
from payment_service.stripe_api.signature import sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.stack import Stack

    from payment_service.json_types import JsonObject

CARD = "pm_card_visa"
KEY = {"Idempotency-Key": "order-1"}
DISK_BYTES = 96 * 1024 * 1024
MAXIMUM_EVENTS = 3000
RESTART_SECONDS = 30.0


@dataclass(frozen=True)
class Trouble:
    """A database and how it is brought into trouble and out of it."""

    url: str
    begin: Callable[[], None]
    end: Callable[[], None]


def read_only(server: PostgresServer) -> Trouble:
    """Make the server refuse writes, as a demoted primary does."""

    def switch(*, on: bool) -> None:
        server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        server.execute("SELECT pg_reload_conf()")

    return Trouble(server.new_database(), lambda: switch(on=True), lambda: switch(on=False))


def no_connections(server: PostgresServer) -> Trouble:
    """End the service's connections and allow no new ones."""
    server.execute("CREATE ROLE app LOGIN")
    name = server.new_database().rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} OWNER TO app")

    def limit(number: int) -> None:
        server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {number}")
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    return Trouble(server.url(name, user="app"), lambda: limit(0), lambda: limit(-1))


def full_disk(server: PostgresServer) -> Trouble:
    """Fill the file system that holds the data and the log."""
    ballast = server.folder / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(64 * 1024)) == 64 * 1024:
                pass

    def clear() -> None:
        ballast.unlink()
        deadline = time.monotonic() + RESTART_SECONDS
        while time.monotonic() < deadline:
            try:
                server.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                time.sleep(0.2)
                if not server.running:
                    server.start()
            else:
                return
        raise AssertionError("PostgreSQL did not come back")

    return Trouble(server.new_database(), fill, clear)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A small file system of its own."""
    folder = Path(f"/tmp/lean-payments-disk-{os.getpid()}")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        require(mounted, what="the right to mount a small file system", command="run the tests as root")
        folder.chmod(0o755)
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@pytest.fixture(params=["read_only", "no_connections", "full_disk"])
def trouble(request: pytest.FixtureRequest) -> Iterator[Trouble]:
    """Each trouble on a server of its own."""
    full = request.param == "full_disk"
    parent = request.getfixturevalue("small_disk") if full else None
    server = PostgresServer(wheel_programs(), settings=DURABLE, parent=parent)
    server.create()
    server.start()
    try:
        yield {"read_only": read_only, "no_connections": no_connections, "full_disk": full_disk}[request.param](server)
    finally:
        server.remove()


async def deliver(stack: Stack, number: int) -> int:
    """Deliver one event of some kilobytes that do not compress, and return the status."""
    content = {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(stack.clock.timestamp()),
        "livemode": False,
        "type": "plan.created",
        "data": {"object": {"id": f"plan_{number}", "object": "plan", "nickname": os.urandom(4000).hex()}},
    }
    body = json.dumps(content).encode()
    signature = sign(body, secret=DEVELOPMENT_WEBHOOK_SECRET, timestamp=int(stack.clock.timestamp()))
    return (await stack.client.post(PATH, content=body, headers={"Stripe-Signature": signature})).status_code


async def deliver_until_refused(stack: Stack) -> set[str]:
    """Deliver events until one is refused with 503; return those that were acknowledged."""
    acknowledged: set[str] = set()
    for number in range(MAXIMUM_EVENTS):
        status = await deliver(stack, number)
        if status == 503:
            return acknowledged
        assert status == 200
        acknowledged.add(f"evt_{number}")
    raise AssertionError("no event was refused")


async def create_customers_until_refused(stack: Stack) -> httpx.Response:
    """Create customers with much metadata until one is refused with 503; a full disk may still have room for a few."""
    for _ in range(MAXIMUM_EVENTS):
        metadata = {f"key_{number}": os.urandom(250).hex() for number in range(20)}
        answer = await stack.client.post("/api/v1/customers", json={"metadata": metadata})
        if answer.status_code == 503:
            return answer
        assert answer.status_code == 201
    raise AssertionError("no customer was refused")


async def test_requests_get_503_and_everything_is_completed_afterwards(
    trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trouble comes while Stripe charges: between two commits of an operation."""
    original, calling, go_on = calls.create_subscription, asyncio.Event(), asyncio.Event()

    async def held(*arguments: Any, **more: Any) -> JsonObject:
        calling.set()
        await go_on.wait()
        return await original(*arguments, **more)

    monkeypatch.setattr(calls, "create_subscription", held)
    async with running_stack(trouble.url) as stack:
        interrupted = asyncio.create_task(stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY))
        await calling.wait()
        await asyncio.to_thread(trouble.begin)
        acknowledged = await deliver_until_refused(stack)
        refused = await create_customers_until_refused(stack)
        assert refused.json()["code"] == "service_unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        go_on.set()
        with contextlib.suppress(httpx.ReadTimeout):
            assert (await interrupted).status_code in {201, 503}
        await asyncio.to_thread(trouble.end)
        await _recovers(stack, acknowledged)


async def _recovers(stack: Stack, acknowledged: set[str]) -> None:
    async def answered() -> bool:
        stack.clock.advance(30)
        answer = await stack.create(email="ada@example.com", payment_method_id=CARD, headers=KEY)
        return answer.status_code == 201

    await stack.until(answered)
    assert (await stack.create(email="grace@example.com", payment_method_id=CARD)).status_code == 201
    assert await deliver(stack, MAXIMUM_EVENTS) == 200
    assert len(stack.charges()) == 2
    stored = {row["id"] for row in await stack.rows(events)}
    assert acknowledged | {f"evt_{MAXIMUM_EVENTS}"} <= stored

    async def settled() -> bool:
        stack.clock.advance(30)
        pending = [row for row in await stack.rows(events) if row["state"] == "pending"]
        return not pending and all(row["finished"] for row in await stack.rows(operations))

    await stack.until(settled)
