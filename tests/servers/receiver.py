"""A receiver of webhooks that answers, or misbehaves, byte by byte as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Received(NamedTuple):
    """One request."""

    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Receiver:
    """Listens on a port of its own, as a context; keeps what it receives."""

    def __init__(
        self, behaviour: Behaviour | None = None, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.connections = 0
        self.crowded = asyncio.Semaphore(0)
        """To wait for so many connections."""
        self.received: list[Received] = []
        self.port = 0
        self._behaviour = behaviour or answering(200)
        self._host = host
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.crowded.release()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    self.received.append(await _read(reader))
                    await self._behaviour(writer)
                    await writer.drain()
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would log it
        finally:
            self._tasks.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, body)


def answering(status: int, *lines: str, body: bytes = b"") -> Behaviour:
    """Answer with a status, header lines and a body."""
    head = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *lines]
    return writing("\r\n".join(head).encode() + b"\r\n\r\n" + body)


def writing(data: bytes) -> Behaviour:
    """Write these bytes, whatever they are, and wait for the next request."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return behave


def closing(data: bytes = b"") -> Behaviour:
    """Write these bytes and close."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()
        await writer.wait_closed()

    return behave


async def resetting(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hanging(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    del writer
    await asyncio.Event().wait()


def dripping(data: bytes, *, then: bytes, seconds: float = 0.02) -> Behaviour:
    """Write some bytes at once, then others slowly and for ever."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        while True:
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(seconds)

    return behave


def flooding(data: bytes, *, then: bytes, times: int, written: list[int]) -> Behaviour:
    """Write some bytes, then others so many times, and note how many were written."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        for _ in range(times):
            writer.write(then)
            await writer.drain()
            written.append(len(then))

    return behave
