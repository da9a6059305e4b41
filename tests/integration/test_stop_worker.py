"""SIGTERM to a worker: what it has claimed is settled or free for others when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.storage.tables import events
from stripe_simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAYMENTS = Path(sys.executable).with_name("payments")
WAIT_SECONDS = 60
STRIPE_SECONDS = 2.0


@pytest.fixture
async def lab(postgres_server: Any, migrated_template: str) -> AsyncIterator[Laboratory]:
    async with laboratory(postgres_server.new_database(template=migrated_template)) as found:
        yield found


async def test_a_stopping_worker_ends_what_it_began_and_leaves_no_lease(lab: Laboratory, tmp_path: Path) -> None:
    account = Account(lab.simulator, lab.clock, Random(5))
    for _ in range(6):
        account.do("subscribe")
        account.do("change customer")
    lab.simulator.faults.calls.append(Fault(kind="latency", method="GET", count=1000, seconds=STRIPE_SECONDS))
    await lab.receive(lab.history())
    async with worker(lab, tmp_path) as process:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await leased(lab):  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await process.wait() == 0
    assert await leased(lab) == []
    lab.simulator.faults.clear()
    await lab.settle()
    assert {row["state"] for row in await lab.rows(events)} <= {"applied", "ignored"}


async def test_a_worker_that_nobody_can_call_begins_when_its_mounted_file_says_so(
    lab: Laboratory, tmp_path: Path
) -> None:
    Account(lab.simulator, lab.clock, Random(5)).do("subscribe")
    await lab.receive(lab.history())
    file = tmp_path / "claim"
    file.write_text("false")
    async with worker(lab, tmp_path, PAYMENTS_WORKER_CLAIM_FILE=str(file)):
        await asyncio.sleep(3)
        assert {row["state"] for row in await lab.rows(events)} == {"pending"}
        file.write_text("true")
        async with asyncio.timeout(WAIT_SECONDS):
            while "applied" not in {row["state"] for row in await lab.rows(events)}:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.2)


@asynccontextmanager
async def worker(lab: Laboratory, folder: Path, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `payments worker` on this database."""
    settings = lab.parts.settings
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database.url.reveal(),
        "STRIPE_API_BASE": settings.stripe.api_base,
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_RECONCILE_SECONDS": "86400",
    }
    process = await asyncio.create_subprocess_exec(PAYMENTS, "worker", cwd=folder, env=environ | more)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def leased(lab: Laboratory) -> list[str]:
    """Return the events that a worker has claimed and not settled."""
    return [row["id"] for row in await lab.rows(events) if row["state"] == "pending" and row["lease_owner"] is not None]
