"""A crowd at `/health`: each address has a limit, and Stripe is asked once a second by all processes together."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import running_stack

from payment_service.bootstrap import build, create_admin, create_app
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer

    from payment_service.health.service import Health

MANY = 1_000_000
SECONDS = 3.0
PROCESSES = 3


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for Redis than production does: the machine may be busy."""
    monkeypatch.setattr("payment_service.caching.circuit_breaker.TIMEOUT_SECONDS", 1.0)


@pytest.fixture
async def stack(migrated_sqlite: Path, tmp_path: Path, valkey: ValkeyServer) -> AsyncIterator[Stack]:
    file = shutil.copy(migrated_sqlite, tmp_path / "payments.sqlite3")
    async with running_stack(f"sqlite:///{file}", REDIS_URL=valkey.url) as running:
        yield running


class Calls:
    """Counts the calls to Stripe's balance."""

    def __init__(self, stack: Stack, *, kind: Any = "latency") -> None:
        self._fault = Fault(kind=kind, path="/v1/balance", count=MANY)
        stack.simulator.faults.calls.append(self._fault)

    @property
    def made(self) -> int:
        return MANY - self._fault.count


def client_of(stack: Stack, *, address: str, limit: int) -> httpx.AsyncClient:
    parts = stack.parts
    parts.settings = replace(parts.settings, http=replace(parts.settings.http, health_limit_per_minute=limit))
    transport = httpx.ASGITransport(app=create_app(parts), client=(address, 1))  # type: ignore[arg-type] # ASGI
    return httpx.AsyncClient(transport=transport, base_url="http://api")


async def others(stack: Stack, exits: AsyncExitStack, **stripe: Any) -> list[Health]:
    """Return the health of further processes of the same release, each with its own connections."""
    settings = replace(stack.parts.settings, stripe=replace(stack.parts.settings.stripe, **stripe))
    made = [build(settings, clock=stack.clock) for _ in range(PROCESSES - 1)]
    for parts in made:
        exits.push_async_callback(parts.close)
    return [parts.health for parts in made]


async def crowd(processes: list[Health], *, seconds: float = SECONDS) -> set[bool]:
    """Ask every process all the time; return what they said of Stripe."""
    said: set[bool] = set()

    async def asking(health: Health) -> None:
        while time.monotonic() < until:
            for _, body in await asyncio.gather(*(health.report() for _ in range(20))):
                said.add(body["checks"]["stripe"])

    until = time.monotonic() + seconds
    await asyncio.gather(*(asking(health) for health in processes))
    return said


async def test_all_processes_together_ask_stripe_once_a_second(stack: Stack) -> None:
    calls = Calls(stack)
    async with AsyncExitStack() as exits:
        began = time.monotonic()
        assert await crowd([stack.parts.health, *await others(stack, exits)]) == {True}
    assert 2 <= calls.made <= 1 + time.monotonic() - began


async def test_every_process_hears_that_stripe_is_away_and_that_it_is_back(stack: Stack) -> None:
    async with AsyncExitStack() as exits:
        processes = [stack.parts.health, *await others(stack, exits)]
        assert await crowd(processes, seconds=0.2) == {True}
        Calls(stack, kind="500_before")
        await crowd(processes, seconds=2.5)
        assert await crowd(processes, seconds=0.2) == {False}
        stack.simulator.faults.clear()
        await crowd(processes, seconds=2.5)
        assert await crowd(processes, seconds=0.2) == {True}


async def test_a_release_with_another_stripe_key_asks_for_itself(stack: Stack) -> None:
    assert (await stack.parts.health.report())[1]["checks"]["stripe"] is True
    async with AsyncExitStack() as exits:
        wrong = type(stack.parts.settings.stripe.secret_key)("rk_test_cannot_read_anything")
        (other, *_) = await others(stack, exits, secret_key=wrong)
        calls = Calls(stack)
        await other.report()
        assert calls.made == 1


async def test_while_redis_is_away_each_process_asks_once_a_second(stack: Stack, valkey: ValkeyServer) -> None:
    async with AsyncExitStack() as exits:
        processes = [stack.parts.health, *await others(stack, exits)]
        valkey.stop()
        calls = Calls(stack)
        began = time.monotonic()
        assert await crowd(processes) == {True}
        assert PROCESSES <= calls.made <= PROCESSES * (1 + time.monotonic() - began)


async def test_the_turn_of_a_process_that_died_passes_on(stack: Stack) -> None:
    check = stack.parts.health._stripe
    turn = f"payments:{{health}}:{check._account()}:turn"
    assert stack.parts.redis is not None
    await stack.parts.redis.set(turn, "", px=1000)
    assert (await stack.parts.health.report())[1]["checks"]["stripe"] is True


async def test_one_address_is_limited_and_another_is_not(stack: Stack) -> None:
    async with client_of(stack, address="203.0.113.7", limit=3) as client:
        answers = [await client.get("/health") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        for probe in ("/health/live", "/health/ready"):
            assert {(await client.get(probe)).status_code for _ in range(5)} == {200}
    async with client_of(stack, address="203.0.113.8", limit=3) as other:
        assert (await other.get("/health")).status_code == 200


async def test_the_admin_ports_probes_count_against_nothing(stack: Stack) -> None:
    application: Any = create_admin(stack.parts, worker=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://admin") as admin:
        for _ in range(5):
            assert (await admin.get("/health/ready")).status_code == 200
    async with client_of(stack, address="127.0.0.1", limit=1) as client:
        assert (await client.get("/health")).status_code == 200
