"""A server behind a door with small limits, and clients that write bytes."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import uvloop

from payment_service.errors import PaymentsError
from payment_service.http.door.limits import DoorSettings
from payment_service.http.responses import read_body, respond, respond_problem
from payment_service.http.server import Servers, listen
from payment_service.observability.metrics import CONNECTIONS_CUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SMALL = DoorSettings(
    first_byte_seconds=0.4,
    head_seconds=0.4,
    body_seconds=0.4,
    answer_seconds=0.4,
    keep_alive_seconds=0.8,
    grace_seconds=0.4,
    linger_seconds=0.8,
    head_bytes=4096,
    head_fields=20,
)
SOON = 3.0
"""Seconds in which a client must be gone, also on a busy machine."""
LARGE = b"x" * 8 * 1024 * 1024


class House:
    """The server, on a loop of its own as in `payments serve`; remembers what its application saw."""

    def __init__(self, *, door: str = "api") -> None:
        self.door = door
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.started = threading.Event()
        self.seen: list[tuple[str, bytes]] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.statuses: list[int] = []
        self.clients: list[Client] = []
        self._cut = cuts()

    async def serve(self, settings: DoorSettings) -> None:
        """Serve until `stop`."""
        self._loop = asyncio.get_running_loop()
        self._going_on, self._stopping = asyncio.Event(), asyncio.Event()
        servers = Servers(settings)
        await servers.start(self, self.listener, port=self.door)
        self.started.set()
        await self._stopping.wait()
        self._going_on.set()
        await servers.stop()

    def go_on(self) -> None:
        """Let what hangs end."""
        self._loop.call_soon_threadsafe(self._going_on.set)

    def stop(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """`/early` does not read the body, `/hang` waits, `/large` answers much, others tell the body's length."""

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        try:
            body = b"" if scope["path"] == "/early" else await read_body(receive, limit=1 << 30)
            self.seen.append((scope["path"], body))
            self.headers.append(scope["headers"])
            if scope["path"] == "/hang":
                await self._going_on.wait()
            if scope["path"] == "/early":
                await respond(sending, 401, b"no")
            else:
                await respond(sending, 200, LARGE if scope["path"] == "/large" else b"%d" % len(body))
        except PaymentsError as error:
            await respond_problem(sending, error, request_id=None)

    def cut(self) -> dict[str, int]:
        """Return how many connections each limit has ended since the start."""
        return dict(cuts() - self._cut)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until `holds` does; fails when it takes too long."""
        for _ in range(round(SOON / 0.01)):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not in time; cut {self.cut()}, statuses {self.statuses}, seen {len(self.seen)}")

    async def connect(self, data: bytes = b"") -> Client:
        """Connect and send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        writer.write(data)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    async def received(self, data: bytes) -> bytes:
        """Send, and return all that comes until the server closes."""
        return await (await self.connect(data)).rest()


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def stop_reading(self) -> None:
        """Take no more of what the server sends."""
        transport: Any = self.writer.transport
        transport.pause_reading()

    async def rest(self) -> bytes:
        """Return all that comes until the server closes; fails when it does not."""
        async with asyncio.timeout(SOON + 6):
            received = await self.reader.read()
        self.writer.close()
        return received

    async def answers(self) -> list[str]:
        """Return the status codes until the server closes."""
        return statuses(await self.rest())

    async def answer(self) -> tuple[int, bytes]:
        """Return the next whole answer."""
        async with asyncio.timeout(SOON):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            return int(head[9:12]), await self.reader.readexactly(length)


def statuses(received: bytes) -> list[str]:
    """Return the codes of the status lines."""
    return [code.decode() for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def cuts() -> Counter[str]:
    """Return the counter of connections that a limit ended, of all ports together."""
    counted: Counter[str] = Counter()
    for metric in CONNECTIONS_CUT.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                counted[sample.labels["reason"]] += int(sample.value)
    return counted


@asynccontextmanager
async def house(door: str = "api", /, **limits: Any) -> AsyncIterator[House]:
    """Serve with small limits, or the given ones."""
    running = House(door=door)
    thread = threading.Thread(target=lambda: uvloop.run(running.serve(replace(SMALL, **limits))))
    thread.start()
    await asyncio.to_thread(running.started.wait)
    try:
        yield running
    finally:
        for client in running.clients:
            client.writer.transport.abort()
        running.stop()
        await asyncio.to_thread(thread.join)
