"""The receivers in `examples/`, run against the service: a webhook that comes again has one effect."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from tests import npm
from tests.integration.test_webhook_deliveries import CARD, ENDPOINTS
from tests.integration.test_webhook_replays import ended, replay
from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.servers.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def running(command: list[str | Path], **environ: str) -> Iterator[None]:
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **environ})
    try:
        yield
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(timeout=30)


async def listens(stack: Stack, url: str) -> None:
    async def answers() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                answer = await client.post(url, content=b"{}", headers={"webhook-id": "evt_forged"})
            except httpx.TransportError:
                return False
        assert answer.status_code == 400
        return True

    await stack.until(answers)


async def is_handled_once(stack: Stack, made: dict[str, Any], *, months: Callable[[], Awaitable[list[int]]]) -> None:
    await listens(stack, made["url"])
    answer = await stack.create(email="ada@example.com", **CARD)
    assert answer.status_code == 201, answer.text

    async def paid() -> bool:
        params = {"endpoint": made["id"], "state": "delivered"}
        return bool((await stack.client.get("/api/v1/webhook-deliveries", params=params)).json()["data"])

    await stack.until(paid)
    assert await months() == [1]
    again = await ended(stack, await replay(stack, made))
    assert (again["delivered"], again["failed"], await months()) == (1, 0, [1])
    fresh_ids = await ended(stack, await replay(stack, made, fresh_ids=True))
    assert (fresh_ids["delivered"], fresh_ids["failed"], await months()) == (1, 0, [2])


async def endpoint_at(stack: Stack, port: int) -> dict[str, Any]:
    body = {"url": f"http://127.0.0.1:{port}/hooks", "event_types": ["invoice.paid"]}
    answer = await stack.client.post(ENDPOINTS, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@ONE_DATABASE
async def test_the_one_in_python(stack: Stack, tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "receiver.sqlite3"
    made = await endpoint_at(stack, port)

    async def months() -> list[int]:
        with sqlite3.connect(file) as connection:
            return [row[0] for row in connection.execute("SELECT months FROM credits")]

    command: list[str | Path] = [sys.executable, EXAMPLES / "python" / "receiver.py"]
    with running(command, WEBHOOK_SECRET=made["secret"], DATABASE=str(file), PORT=str(port)):
        await is_handled_once(stack, made, months=months)


@pytest.mark.timeout(400)  # installs npm's packages on a bare machine
@ONE_DATABASE
async def test_the_one_in_typescript(stack: Stack, tmp_path: Path, postgres_url: str) -> None:
    await asyncio.to_thread(npm.install)
    for file in (EXAMPLES / "typescript").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(npm.FOLDER / "node_modules")
    await asyncio.to_thread(npm.run, "tsc", "--project", tmp_path)
    node = shutil.which("node")
    assert node is not None
    port = free_port()
    made = await endpoint_at(stack, port)

    async def months() -> list[int]:
        connection = await asyncpg.connect(postgres_url)
        try:
            return [row["months"] for row in await connection.fetch("SELECT months FROM credits")]
        finally:
            await connection.close()

    settings = {"WEBHOOK_SECRET": made["secret"], "DATABASE_URL": postgres_url, "PORT": str(port)}
    with running([node, tmp_path / "receiver.js"], **settings):
        await is_handled_once(stack, made, months=months)
