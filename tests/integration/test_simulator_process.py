"""The simulator on a port: connections that end badly, the state over restarts, the process by itself."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.servers.process import ServerProcess, accepts, free_port

from payment_service.clock import MovableClock
from payment_service.http.server import Servers, listen
from stripe_simulator import Simulator
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEADERS = {"Authorization": "Bearer sk_test_process"}
PAYMENTS = Path(sys.executable).with_name("payments")


@asynccontextmanager
async def served(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    servers, listener = Servers(), listen("127.0.0.1", 0)
    await servers.start(simulator.api, listener)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with simulator, httpx.AsyncClient(base_url=base, headers=HEADERS, timeout=30) as client:
            yield client
    finally:
        await servers.stop()


@pytest.mark.parametrize(("kind", "made"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_connection_is_reset(kind: str, made: int) -> None:
    simulator = Simulator()
    simulator.faults.calls.append(Fault(kind=kind))  # type: ignore[arg-type] # one of the kinds
    async with served(simulator) as client:
        with pytest.raises(httpx.TransportError):
            await client.post("/v1/customers")
        assert simulator.state.count("customer") == made
        assert (await client.post("/v1/customers")).status_code == 200


@pytest.mark.parametrize(("kind", "made"), [("timeout_before", 0), ("timeout_after", 1)])
async def test_a_call_is_not_answered_in_time(kind: str, made: int) -> None:
    simulator = Simulator()
    simulator.faults.calls.append(Fault(kind=kind, seconds=60))  # type: ignore[arg-type] # one of the kinds
    async with served(simulator) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/customers", timeout=0.5)
        assert simulator.state.count("customer") == made
        answer = await client.post("/v1/customers")
        assert answer.status_code == 200


async def test_a_lost_answer_is_replayed_under_its_key() -> None:
    simulator = Simulator()
    simulator.faults.calls.append(Fault(kind="reset_after"))
    async with served(simulator) as client:
        key = {"Idempotency-Key": "k"}
        with pytest.raises(httpx.TransportError):
            await client.post("/v1/customers", headers=key)
        again = await client.post("/v1/customers", headers=key)
        assert again.headers["idempotent-replayed"] == "true"
        assert simulator.state.count("customer") == 1


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    clock, file = MovableClock(), tmp_path / "stripe.sqlite3"
    first = Simulator(path=file, clock=clock)
    async with served(first) as client:
        price = first.ensure_price(
            price_id="p", lookup_key="pro", unit_amount=2900, currency="usd", interval="month", product_name="Pro"
        )
        customer = (await client.post("/v1/customers", data={"payment_method": "pm_card_visa"})).json()["id"]
        method = first.state.all("payment_method")[0]["id"]
        form = {"customer": customer, "items[0][price]": price["id"], "default_payment_method": method}
        made = (await client.post("/v1/subscriptions", data=form, headers={"Idempotency-Key": "k"})).json()
        events = (await client.get("/v1/events", params={"limit": 100})).json()
        assert made["status"] == "active"
    second = Simulator(path=file, clock=clock)
    async with served(second) as client:
        assert (await client.get(f"/v1/subscriptions/{made['id']}")).json()["status"] == "active"
        assert (await client.get("/v1/events", params={"limit": 100})).json() == events
        replayed = await client.post("/v1/subscriptions", data=form, headers={"Idempotency-Key": "k"})
        assert (replayed.json(), replayed.headers["idempotent-replayed"]) == (made, "true")
        clock.advance(32 * 86400)
        second.tick()
        assert [charge["amount"] for charge in second.state.all("charge")] == [2900, 2900]


def test_a_moved_clock_stays_moved_over_a_restart(tmp_path: Path) -> None:
    clock, file = MovableClock(), tmp_path / "stripe.sqlite3"
    for _ in range(2):
        first = Simulator(path=file, clock=clock)
        first.test_clock.advance(32 * 86400)
        first.close()
    second = Simulator(path=file, clock=clock)
    assert round((second.test_clock.timestamp() - clock.timestamp()) / 86400) == 64
    second.close()


async def test_the_process_answers_and_is_controlled(tmp_path: Path) -> None:
    api, control = free_port(), free_port()
    state = str(tmp_path / "stripe.sqlite3")
    command = [str(PAYMENTS), "simulator", "--port", str(api), "--control-port", str(control), "--state", state]
    server = ServerProcess(command, log=tmp_path / "log", cwd=tmp_path)
    server.start(ready=lambda: accepts(api) and accepts(control))
    try:
        async with httpx.AsyncClient(headers=HEADERS) as client:
            assert (await client.get(f"http://127.0.0.1:{api}/v1/account")).json()["id"] == "acct_simulator"
            before = (await client.get(f"http://127.0.0.1:{control}/clock")).json()["now"]
            await client.post(f"http://127.0.0.1:{control}/clock/advance", json={"seconds": 86400})
            after = (await client.get(f"http://127.0.0.1:{control}/clock")).json()["now"]
            assert after - before >= 86400
            assert "Stripe simulator" in (await client.get(f"http://127.0.0.1:{control}/")).text
    finally:
        server.stop()


async def test_the_process_refuses_production_with_live_mode(tmp_path: Path) -> None:
    environment = os.environ | {"ENVIRONMENT": "production"}
    process = await asyncio.create_subprocess_exec(
        PAYMENTS, "simulator", env=environment, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    assert process.returncode == 1
    assert b"does not run with ENVIRONMENT=production" in told
