"""A TCP relay that is late to tell a client that its server has closed the connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

TERMINATE = b"X\x00\x00\x00\x04"
"""The client's last message (postgresql.org/docs/current/protocol-message-formats.html)."""


class LateRelay:
    """Passes bytes on in both directions, and the server's end of a connection only once the client sends again.

    So a client stands for as long as a test likes where it otherwise stands for microseconds: it has read the server's
    last words and does not know yet that the socket is closed.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._listener = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Take no more connections."""
        self._listener.close()

    async def _relay(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        answering = asyncio.create_task(_copy(from_server, to_client))
        with suppress(ConnectionError):
            while (received := await from_client.read(65536)) and not answering.done():
                to_server.write(received)
                await to_server.drain()
                if received == TERMINATE:
                    break
        to_server.close()
        await answering
        to_client.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while received := await source.read(65536):
            target.write(received)
            await target.drain()
