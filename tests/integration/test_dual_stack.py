"""What listens in a pod is reached over IPv4 and IPv6: a pod of an IPv6-only cluster has no other address."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web
from tests.requirements import require
from tests.servers.process import START_SECONDS, free_port

from payment_operator.clients import pod_admin
from payment_operator.model.pod import read_pod
from payment_operator.runtime import process as run
from payment_operator.runtime.health import application
from payment_service.bootstrap import create_admin
from payment_service.http.server import EVERY_ADDRESS, PortInUse, Servers, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack

PAYMENTS = Path(sys.executable).with_name("payments")
LOOPBACKS = ("127.0.0.1", "[::1]")


@pytest.fixture(autouse=True)
def _ipv6() -> None:
    try:
        listen("::1", 0).close()
    except PortInUse:
        require(None, what="IPv6", command="sysctl -w net.ipv6.conf.lo.disable_ipv6=0")


@asynccontextmanager
async def running(
    stack: Stack, folder: Path, command: str, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of the service as a pod runs it, with its defaults of addresses."""
    settings = stack.parts.settings
    base = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database.url.reveal(),
        "STRIPE_API_BASE": settings.stripe.api_base,
        "PAYMENTS_DRAIN_SECONDS": "0",
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(PAYMENTS, command, cwd=folder, env=base | environ, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def alive(process: asyncio.subprocess.Process, *addresses: str) -> None:
    """Wait until each address answers."""
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(START_SECONDS):
        for address in addresses:
            while not await answers(client, address):
                assert process.returncode is None
                await asyncio.sleep(0.05)


async def answers(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"http://{address}/health/live")).status_code == 200
    except httpx.TransportError:
        return False


async def test_the_api_and_its_admin_port_answer_over_both(stack: Stack, tmp_path: Path) -> None:
    port, admin_port = free_port(), free_port()
    async with running(stack, tmp_path, "serve", PORT=str(port), PAYMENTS_ADMIN_PORT=str(admin_port)) as process:
        await alive(process, *(f"{host}:{each}" for host in LOOPBACKS for each in (port, admin_port)))


async def test_the_worker_s_admin_port_answers_over_both(stack: Stack, tmp_path: Path) -> None:
    port = free_port()
    async with running(stack, tmp_path, "worker", PAYMENTS_ADMIN_PORT=str(port)) as process:
        await alive(process, *(f"{host}:{port}" for host in LOOPBACKS))


async def test_the_operator_answers_over_both() -> None:
    port = free_port()
    runner = await run.listen(application(list, lambda: True), host=run.Options().host, port=port)
    try:
        async with httpx.AsyncClient() as client:
            for host in LOOPBACKS:
                assert (await client.get(f"http://{host}:{port}/readyz")).json() == {"leading": True}
    finally:
        await runner.cleanup()


async def test_the_operator_talks_to_a_pod_that_has_only_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        heard.append((request.path, request.headers["Host"]))
        return web.json_response({"schema": {"database": 1, "supported": True}, "checks": {"stripe": "ok"}})

    pods = web.Application()
    pods.router.add_route("*", "/{path:.*}", take)
    port = free_port()
    monkeypatch.setattr(pod_admin, "ADMIN_PORT", port)
    monkeypatch.setattr(pod_admin, "HTTP_PORT", port)
    runner = await run.listen(pods, host="::1", port=port)
    calls = pod_admin.Admin()
    pod = read_pod({"metadata": {"name": "p", "uid": "u", "labels": {}}, "status": {"podIP": "::1"}})
    try:
        assert await calls.put(pod, "/drain", {"drain": True}, token="t")
        assert await calls.metrics(pod)
        assert (await calls.probe(pod, token="t")).schema_supported
    finally:
        await calls.close()
        await runner.cleanup()
    assert [path for path, _ in heard] == ["/drain", "/metrics", "/status", "/health"]
    assert {host for _, host in heard} == {f"[::1]:{port}"}


async def test_drain_finds_a_process_that_listens_on_ipv6_alone(stack: Stack) -> None:
    http = replace(stack.parts.settings.http, drain_seconds=0.0)
    stack.parts.settings = replace(stack.parts.settings, environment="production", http=http)
    servers, listener = Servers(), listen("::1", 0)
    await servers.start(create_admin(stack.parts, worker=False), listener)
    environ = {"PATH": os.environ["PATH"], "SECRET_KEY": stack.parts.settings.secret_key.reveal()}
    environ["PAYMENTS_ADMIN_PORT"] = str(listener.getsockname()[1])
    process = await asyncio.create_subprocess_exec(PAYMENTS, "drain", env=environ, stderr=asyncio.subprocess.PIPE)
    said = (await process.communicate())[1].decode()
    await servers.stop()
    assert (process.returncode, said) == (0, "")
    assert stack.parts.drain.stopping


async def test_a_caller_over_ipv4_is_of_this_machine_on_a_socket_for_both(stack: Stack) -> None:
    servers, listener = Servers(), listen(EVERY_ADDRESS, 0)
    await servers.start(create_admin(stack.parts, worker=False), listener)
    try:
        async with httpx.AsyncClient() as client:
            for host in LOOPBACKS:
                answer = await client.get(f"http://{host}:{listener.getsockname()[1]}/status")
                assert answer.status_code == 200, answer.text
    finally:
        await servers.stop()


@pytest.mark.parametrize("lacking", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_is_served_over_ipv4(monkeypatch: pytest.MonkeyPatch, lacking: int) -> None:
    class WithoutIpv6(socket.socket):
        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(lacking, os.strerror(lacking))
            super().bind(address)

    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    with listen(EVERY_ADDRESS, 0) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
    with pytest.raises(PortInUse, match="on ::1 "):
        listen("::1", 0)


def test_a_port_that_is_taken_over_ipv4_is_taken() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(PortInUse):
        listen(EVERY_ADDRESS, taken.getsockname()[1])
