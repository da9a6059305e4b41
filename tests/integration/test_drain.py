"""`payments drain`, the preStop hook of the API's pods, as a process beside a server."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.process import free_port

from payment_service.bootstrap import create_admin
from payment_service.config.secrets import Secret
from payment_service.http.server import Servers, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

PAYMENTS = Path(sys.executable).with_name("payments")
OURS = {
    "payment_service",
    "payment_service.command",
    "payment_service.draining",
    "payment_service.http",
    "payment_service.http.admin_token",
}
ALLOWED_CPU_SECONDS = 0.1


async def drain(**environ: str) -> tuple[int, str]:
    """Run it and return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        PAYMENTS, "drain", env={"PATH": os.environ["PATH"]} | environ, stderr=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[1].decode()
    assert process.returncode is not None
    return process.returncode, said


@asynccontextmanager
async def serving(stack: Stack, **http: Any) -> AsyncIterator[str]:
    """The admin port of a process with production's rules, which drains for 0.6 seconds."""
    settings = stack.parts.settings
    changed = replace(settings.http, drain_seconds=0.6, **http)
    stack.parts.settings = replace(settings, environment="production", http=changed)
    servers, listener = Servers(), listen("127.0.0.1", 0)
    await servers.start(create_admin(stack.parts, worker=False), listener)
    yield str(listener.getsockname()[1])
    await servers.stop()


@pytest.fixture
async def admin_port(stack: Stack) -> AsyncIterator[str]:
    """One whose token is made of `SECRET_KEY`."""
    async with serving(stack) as port:
        yield port


async def test_it_drains_the_process_beside_it_and_waits_for_its_clients(
    stack: Stack, admin_port: str, tmp_path: Path
) -> None:
    (tmp_path / "SECRET_KEY").write_text(stack.parts.settings.secret_key.reveal() + "\n")
    began = time.monotonic()
    code, said = await drain(PAYMENTS_ADMIN_PORT=admin_port, SECRET_KEY_FILE=str(tmp_path / "SECRET_KEY"))
    assert (code, said) == (0, "")
    assert time.monotonic() - began >= 0.6
    assert stack.parts.drain.stopping


async def test_it_sends_the_token_from_its_file(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("let-me-in\n")
    token = {"PAYMENTS_ADMIN_TOKEN_FILE": str(tmp_path / "token"), "SECRET_KEY": "another"}
    async with serving(stack, admin_token=Secret("let-me-in")) as port:
        code, _ = await drain(PAYMENTS_ADMIN_PORT=port, **token)
    assert code == 0
    assert stack.parts.drain.stopping


async def test_a_refusal_is_a_failed_hook_that_says_why(stack: Stack, admin_port: str) -> None:
    code, said = await drain(PAYMENTS_ADMIN_PORT=admin_port, SECRET_KEY="a-key-of-another-environment-altogether")
    assert code == 1
    assert "answered 401" in said
    assert not stack.parts.drain.stopping


@pytest.mark.parametrize("name", ["PAYMENTS_ADMIN_TOKEN_FILE", "SECRET_KEY_FILE"])
@pytest.mark.parametrize("kind", ["missing", "folder", "bytes"])
async def test_a_token_that_cannot_be_read_is_a_failed_hook_that_names_the_file(
    stack: Stack, admin_port: str, tmp_path: Path, name: str, kind: str
) -> None:
    file = tmp_path / kind
    if kind == "folder":
        file.mkdir()
    elif kind == "bytes":
        file.write_bytes(b"\xff\xfe")
    code, said = await drain(PAYMENTS_ADMIN_PORT=admin_port, **{name: str(file)})
    assert code == 1
    assert said.startswith(f"{name}: {file} cannot be read (")
    assert said.endswith("SIGTERM drains what runs.\n")
    assert "Traceback" not in said
    assert not stack.parts.drain.stopping


async def test_a_port_that_is_none_is_a_failed_hook() -> None:
    code, said = await drain(PAYMENTS_ADMIN_PORT="admin")
    assert (code, said.partition(":")[0]) == (1, "PAYMENTS_ADMIN_PORT")


@pytest.mark.parametrize("port", ["", "0", "closed"])
async def test_with_nobody_there_it_ends_well_at_once(port: str) -> None:
    began = time.monotonic()
    code, said = await drain(PAYMENTS_ADMIN_PORT=str(free_port()) if port == "closed" else port or "1")
    assert code == 0
    assert "SIGTERM drains what still runs" in said
    assert time.monotonic() - began < 5


def test_it_loads_no_library() -> None:
    """The pod that stops serves meanwhile: what this loads is taken from its CPU."""
    run = [sys.executable, "-X", "importtime", str(PAYMENTS), "drain"]
    done = subprocess.run(run, env={"PAYMENTS_ADMIN_PORT": "1"}, capture_output=True, text=True, check=True)
    imported = re.findall(r"import time:\s+\d+ \|\s+\d+ \|\s*(\S+)", done.stderr)
    after_start = imported[imported.index("site") + 1 :]
    assert {name for name in after_start if name.startswith("payment_service")} == OURS
    libraries = {name.partition(".")[0] for name in after_start} - {"payment_service"}
    assert libraries <= sys.stdlib_module_names
    assert not libraries & {"asyncio", "http", "email", "json", "ssl", "urllib", "logging", "pathlib"}


def test_it_costs_little_more_cpu_than_starting_python() -> None:
    least = min(cpu_seconds(str(PAYMENTS), "drain") for _ in range(5))
    assert least - min(cpu_seconds("-c", "") for _ in range(5)) < ALLOWED_CPU_SECONDS


def cpu_seconds(*arguments: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, *arguments], env={"PAYMENTS_ADMIN_PORT": "1"}, capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
