"""SIGTERM to a worker: what it has claimed is settled or free for others when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.histories import Account
from tests.servers.laboratory import Laboratory, laboratory

from payment_service.simulator.faults import Fault
from payment_service.tables import events

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
    settings = lab.parts.settings
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database.url.reveal(),
        "STRIPE_API_BASE": settings.stripe.api_base,
        "PAYMENTS_ADMIN_PORT": "0",
        "PAYMENTS_RECONCILE_SECONDS": "86400",
    }
    process = await asyncio.create_subprocess_exec(PAYMENTS, "worker", cwd=tmp_path, env=environ)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await leased(lab):  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert await leased(lab) == []
    lab.simulator.faults.clear()
    await lab.settle()
    assert {row["state"] for row in await lab.rows(events)} <= {"applied", "ignored"}


async def leased(lab: Laboratory) -> list[str]:
    """Return the events that a worker has claimed and not settled."""
    return [row["id"] for row in await lab.rows(events) if row["state"] == "pending" and row["lease_owner"] is not None]
