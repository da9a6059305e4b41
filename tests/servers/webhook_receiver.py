"""A receiver of webhooks, which answers as it is told and remembers what it got."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from standardwebhooks import Webhook

from payment_service.http.server import Servers, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})


@dataclass
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """What it tells."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verify(self, secret: str) -> None:
        """Hold its signature to Standard Webhooks' own library."""
        Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """What tests work with."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answer: Callable[[Got], Answer | None] = lambda _: OK
    """None: it hangs until the connection ends."""

    @property
    def types(self) -> list[str]:
        """Of the events, as they came."""
        return [got.event["type"] for got in self.got]

    def sequences(self, object_id: str) -> list[int]:
        """Of the events about an object, as they came."""
        return [got.event["sequence"] for got in self.got if got.event["object_id"] == object_id]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take a request."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        got = Got(headers, body)
        self.got.append(got)
        answer = self.answer(got)
        if answer is None:
            while message["type"] != "http.disconnect":
                message = await receive()
            return
        status, more_headers = answer
        told = [(name.encode(), value.encode()) for name, value in more_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": [*told, (b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver."""
    receiver, servers = Receiver(), Servers()
    socket = listen("127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{socket.getsockname()[1]}/hooks"
    await servers.start(receiver, socket)
    try:
        yield receiver
    finally:
        async with asyncio.timeout(30):
            await servers.stop()
