"""Slow clients of four kinds beside good requests, against `payments serve` under a pod's limit of memory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import resource
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from tests.servers.process import ServerProcess, accepts, free_port
from tests.servers.stack import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYMENTS: Final = Path(sys.executable).with_name("payments")
SLOW_KINDS: Final = ("silent", "slow head", "slow body", "unread answer")
REASONS: Final = dict(zip(SLOW_KINDS, ("silent", "slow_head", "slow_body", "slow_answer"), strict=True))
POD_BYTES: Final = 256 * 1024 * 1024
"""The API's limit in chart/values.yaml."""
BODY_SENT: Final = 10_000
TRICKLE_SECONDS: Final = 0.7
Slow = tuple[str, float, str]
"""Kind, seconds until the server ended it, status of its last answer or nothing."""
_HEAD: Final = b"POST /api/v1/webhooks/stripe HTTP/1.1\r\nHost: slow\r\n"
_UNREAD: Final = b"GET /docs/openapi.json HTTP/1.1\r\nHost: slow\r\n\r\n"
_CUT: Final = re.compile(r'^payments_http_connections_cut_total\{port="api",reason="(\w+)"\} (\d+)', re.MULTILINE)


@dataclass
class Outcome:
    """What became of the clients and of the good requests."""

    gone: Counter[str] = field(default_factory=Counter)
    """Slow clients that the server ended, by kind."""
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Kind and status of the last answer that slow clients got; empty: none."""
    longest: dict[str, float] = field(default_factory=dict)
    """Seconds until the last client of a kind was gone."""
    cut: dict[str, int] = field(default_factory=dict)
    good: Counter[int] = field(default_factory=Counter)
    """Statuses of the good requests; 0: no answer."""
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    """Seconds of good requests before and while the slow clients were there."""
    peak_bytes: int = 0


def quantile(seconds: list[float], part: float) -> float:
    """Return the value below which `part` of the values lie."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * part))]


class Pod:
    """A process under a control group's limit of memory where that is allowed, else watched."""

    def __init__(self, limit: int) -> None:
        root = Path("/sys/fs/cgroup")
        v2 = (root / "cgroup.controllers").exists()
        self.folder = (root if v2 else root / "memory") / f"lean-payments-slow-{os.getpid()}"
        self._peak, self._limit = (
            ("memory.peak", "memory.max") if v2 else ("memory.max_usage_in_bytes", "memory.limit_in_bytes")
        )
        try:
            self.folder.mkdir()
            (self.folder / self._limit).write_text(str(limit))
            self.limited = True
        except OSError:
            self.limited = False

    def command(self, *command: str | Path) -> list[str]:
        """Return the command that runs within the group."""
        if not self.limited:
            return [str(part) for part in command]
        return [
            "sh",
            "-c",
            f'echo $$ > {self.folder}/cgroup.procs && exec "$@"',
            "sh",
            *(str(part) for part in command),
        ]

    def peak(self, pid: int) -> int:
        """Return the most bytes that were in use."""
        if self.limited:
            return int((self.folder / self._peak).read_text())
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index] # every process has it

    def remove(self) -> None:
        """Remove the group."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()


class Siege:
    """The server and its clients."""

    def __init__(self, port: int, admin_port: int, *, each: int) -> None:
        self.port, self._admin_port, self._each = port, admin_port, each
        self.outcome = Outcome()

    async def run(self, *, alone_seconds: float, limit_seconds: float, workers: int) -> Outcome:
        """Send good requests alone, then beside the slow clients until all of these are gone."""
        over = asyncio.Event()
        good = [asyncio.create_task(self._good(over, into=self.outcome.alone)) for _ in range(workers)]
        await asyncio.sleep(alone_seconds)
        over.set()
        await asyncio.gather(*good)
        over = asyncio.Event()
        good = [asyncio.create_task(self._good(over, into=self.outcome.beside)) for _ in range(workers)]
        slow = await asyncio.to_thread(besiege, self.port, self._each, limit_seconds)
        over.set()
        await asyncio.gather(*good)
        self._tell(slow)
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{self._admin_port}/metrics")).text
        self.outcome.cut = {reason: int(count) for reason, count in _CUT.findall(metrics)}
        return self.outcome

    async def _good(self, over: asyncio.Event, *, into: list[float]) -> None:
        """Ask for a list and deliver an event in turn; on a new connection for every tenth."""
        number = 0
        while not over.is_set():
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as client:
                for _ in range(10):
                    number += 1
                    began = time.perf_counter()
                    with contextlib.suppress(httpx.TransportError):
                        self.outcome.good[0] += 1
                        answer = await (client.get("/api/v1/subscriptions?limit=1") if number % 2 else _deliver(client))
                        self.outcome.good[0] -= 1
                        self.outcome.good[answer.status_code] += 1
                    into.append(time.perf_counter() - began)
                    await asyncio.sleep(0.02)

    def _tell(self, slow: list[Slow]) -> None:
        for kind, seconds, status in slow:
            self.outcome.gone[kind] += 1
            self.outcome.answers[kind, status] += 1
            self.outcome.longest[kind] = max(seconds, self.outcome.longest.get(kind, 0))


def besiege(port: int, each: int, limit_seconds: float) -> list[Slow]:
    """Be so many slow clients of each kind; return those that the server ended in time."""

    async def all_kinds() -> list[Slow]:
        tasks = [asyncio.create_task(_slow(port, kind)) for _ in range(each) for kind in SLOW_KINDS]
        done, left = await asyncio.wait(tasks, timeout=limit_seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return [task.result() for task in done]

    return asyncio.run(all_kinds())


async def _slow(port: int, kind: str) -> Slow:
    began = time.perf_counter()
    received = await _besiege(port, kind)
    codes = re.findall(rb"HTTP/1\.1 (\d{3}) ", received)
    return kind, time.perf_counter() - began, codes[-1].decode() if codes else ""


async def _deliver(client: httpx.AsyncClient) -> httpx.Response:
    body, now = (
        b'{"id": "evt_%d", "object": "event", "type": "ping", "created": 1, "data": {"object": {}}}',
        int(time.time()),
    )
    body %= time.perf_counter_ns()
    signature = hmac.new(b"whsec_development", b"%d." % now + body, hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={now},v1={signature}"}
    return await client.post("/api/v1/webhooks/stripe", content=body, headers=headers)


async def _besiege(port: int, kind: str) -> bytes:
    """Be a slow client until the server ends it; return what it answered."""
    plain = socket.socket()
    plain.setblocking(False)  # noqa: FBT003 - the standard library's signature
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
        if kind == "unread answer":
            await asyncio.get_running_loop().sock_sendall(plain, _UNREAD * 8)
            return await _watch(plain)
        return await _trickle(plain, kind)
    except OSError:
        return b""
    finally:
        plain.close()


async def _trickle(plain: socket.socket, kind: str) -> bytes:
    """Send the beginning of a request and then a byte now and then."""
    reader, writer = await asyncio.open_connection(sock=plain)
    if kind != "silent":
        writer.write(_HEAD + (b"Content-Length: 500000\r\n\r\n" + b"x" * BODY_SENT if kind == "slow body" else b""))
    reading = asyncio.ensure_future(reader.read())
    try:
        while not (await asyncio.wait({reading}, timeout=TRICKLE_SECONDS))[0]:
            if kind != "silent":
                writer.write(b"x")
        return await reading
    finally:
        reading.cancel()
        writer.transport.abort()


async def _watch(plain: socket.socket) -> bytes:
    """Return when the connection is reset, without reading from it."""
    while True:
        if plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return b""
        await asyncio.sleep(0.2)


@contextlib.contextmanager
def besieged(folder: Path, *, each: int, **settings: Any) -> Iterator[tuple[Siege, Pod, ServerProcess]]:
    """Run `payments serve` with the settings, in a pod's limit of memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * each * 2 + 1024)), hard))
    port, admin_port = free_port(), free_port()
    url = f"sqlite:///{folder / 'payments.sqlite3'}"
    migrate(url)
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": url, "PAYMENTS_ADMIN_PORT": str(admin_port)}
    environ |= {name: str(value) for name, value in settings.items()}
    pod = Pod(POD_BYTES)
    command = pod.command(PAYMENTS, "serve", "--host", "127.0.0.1", "--port", str(port))
    server = ServerProcess(command, log=folder / "log", env=environ, cwd=folder)
    server.start(ready=lambda: accepts(port))
    try:
        yield Siege(port, admin_port, each=each), pod, server
    finally:
        server.stop()
        pod.remove()
