"""SIGTERM: readiness fails first, connections close, requests in flight end, leases are given back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.logged import secrets_in
from tests.servers.process import accepts, free_port
from tests.servers.stack import CREATE, PRICE

from payment_service.bootstrap import create_app
from payment_service.http import server
from payment_service.http.server import Servers, listen
from payment_service.storage.tables import operations
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

PAYMENTS = Path(sys.executable).with_name("payments")
DRAIN_SECONDS = 3
BODY = {"price_id": PRICE, "email": "ada@example.com", "payment_method_id": "pm_card_visa"}


@asynccontextmanager
async def serving(stack: Stack, folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """Run `payments serve` on the stack's database and simulator."""
    port, settings = free_port(), stack.parts.settings
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database.url.reveal(),
        "STRIPE_API_BASE": settings.stripe.api_base,
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_DRAIN_SECONDS": str(DRAIN_SECONDS),
        "PAYMENTS_STRIPE_TIMEOUT_SECONDS": "60",
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PAYMENTS, "serve", "--host", "127.0.0.1", "--port", str(port), cwd=folder, env=environ, stderr=log
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            async def ready() -> bool:
                assert process.returncode is None, (folder / "log").read_text()
                return accepts(port) and (await client.get("/health/ready")).status_code == 200

            await stack.until(ready)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def hanging_create(stack: Stack, client: httpx.AsyncClient, *, seconds: float) -> asyncio.Task[httpx.Response]:
    """Begin a request that waits for Stripe, and return when it does."""
    fault = Fault(kind="latency", method="POST", path="/v1/subscriptions", seconds=seconds)
    stack.simulator.faults.calls.append(fault)
    request = asyncio.create_task(client.post(CREATE, json=BODY))

    async def waits() -> bool:
        assert not request.done(), request.result().text
        return fault.count == 0

    await stack.until(waits)
    return request


async def test_sigterm_fails_readiness_closes_connections_and_ends_requests(stack: Stack, tmp_path: Path) -> None:
    async with serving(stack, tmp_path) as (process, client):
        request = await hanging_create(stack, client, seconds=2)
        process.send_signal(signal.SIGTERM)

        async def turned_away() -> bool:
            return (await client.get("/health/ready")).status_code == 503

        await stack.until(turned_away)
        live = await client.get("/health/live")
        assert (live.status_code, live.headers["connection"]) == (200, "close")
        answer = await request
        assert (answer.status_code, answer.headers["connection"]) == (201, "close")
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    assert [row["finished"] for row in await stack.rows(operations)] == [True]
    assert len(stack.charges()) == 1
    written = (tmp_path / "log").read_text()
    assert "request" in written
    assert secrets_in(written) == []


async def test_a_second_sigterm_exits_at_once(stack: Stack, tmp_path: Path) -> None:
    async with serving(stack, tmp_path) as (process, client):
        request = await hanging_create(stack, client, seconds=8)
        process.send_signal(signal.SIGTERM)

        async def stopping() -> bool:
            return "stopping" in (tmp_path / "log").read_text()

        await stack.until(stopping)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 1
        assert time.monotonic() - began < DRAIN_SECONDS
        with pytest.raises(httpx.TransportError):
            await request


async def test_a_request_that_does_not_end_in_time_gives_its_lease_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACEFUL_SECONDS", 1)
    servers, listener = Servers(), listen("127.0.0.1", 0)
    await servers.start(create_app(stack.parts), listener)
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base_url, timeout=60) as client:
        request = await hanging_create(stack, client, seconds=4)
        await servers.stop()
        (row,) = await stack.rows(operations)
        assert not row["finished"]
        assert row["lease_expires_at"] < stack.clock.now() + timedelta(seconds=10)
        (ended,) = await asyncio.gather(request, return_exceptions=True)
        assert not isinstance(ended, httpx.Response) or ended.status_code >= 500

    async def completed() -> bool:
        return [row["finished"] for row in await stack.rows(operations)] == [True]

    await stack.until(completed)
    assert len(stack.charges()) == 1
