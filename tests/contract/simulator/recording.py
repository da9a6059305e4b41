"""Runs the simulator on a port and records every call that reaches it."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import stripe

from payment_service.clock import MovableClock
from payment_service.http.server import Servers, listen
from stripe_simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "sk_test_contract"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Recorded:
    """One call and its answer."""

    method: str
    path: str
    query: str
    body: bytes
    status: int
    answer: Any

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Recorder:
    """An ASGI application before the simulator's."""

    application: Any
    calls: list[Recorded] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        sent: dict[str, Any] = {"body": b""}
        given = b""

        async def hear() -> Any:
            nonlocal given
            message = await receive()
            given += message.get("body", b"")
            return message

        async def tell(message: Any) -> None:
            if message["type"] == "http.response.start":
                sent["status"] = message["status"]
            sent["body"] += message.get("body", b"")
            await send(message)

        await self.application(scope, hear, tell)
        answer = msgspec.json.decode(sent["body"])
        query = scope["query_string"].decode()
        self.calls.append(Recorded(scope["method"], scope["path"], query, given, sent["status"], answer))


@dataclass
class Running:
    """A simulator, the SDK's client on it, and what was recorded."""

    simulator: Simulator
    clock: MovableClock
    client: stripe.StripeClient
    recorder: Recorder

    @property
    def v1(self) -> Any:
        """The SDK's services, without the types of their parameters: what is checked here are the results."""
        return self.client.v1

    def advance(self, *, days: float) -> None:
        """Move Stripe's clock."""
        self.clock.advance(days * 86400)
        self.simulator.tick()


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    """Serve a new simulator to the official SDK."""
    clock = MovableClock()
    simulator = Simulator(clock=clock)
    recorder = Recorder(simulator.api)
    servers, listener = Servers(), listen(HOST, 0)
    await servers.start(recorder, listener)
    async with simulator, aiohttp.ClientSession() as session, AsyncExitStack() as cleanup:
        cleanup.push_async_callback(servers.stop)
        client = stripe.StripeClient(
            KEY,
            base_addresses={"api": f"http://{HOST}:{listener.getsockname()[1]}"},
            http_client=stripe.AIOHTTPClient(session=session),
            max_network_retries=0,
        )
        yield Running(simulator, clock, client, recorder)


def soon(seconds: float) -> int:
    """Return a Unix time from now."""
    return int(time.time() + seconds)
