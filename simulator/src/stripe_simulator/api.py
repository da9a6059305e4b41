"""The Stripe API as an ASGI application: authentication, permission, faults, idempotency, then the call."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from payment_service.http.responses import read_body
from stripe_simulator.errors import StripeFault
from stripe_simulator.forms import parse_form
from stripe_simulator.keys import check_account, check_permission
from stripe_simulator.routes import Call
from stripe_simulator.state import API_VERSION, random_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.types import Receive, Send

    from stripe_simulator.faults import Fault, Faults
    from stripe_simulator.keys import Key, Keys
    from stripe_simulator.world import World
    from stripe_simulator.worlds import Worlds

MAXIMUM_BYTES: Final = 1024 * 1024
HANG_SECONDS: Final = 120.0
"""A time-out fault keeps the connection open this long; the caller gives up earlier."""
_EXECUTED: Final = frozenset({402, 500})
"""A declined card was executed, a failure too; refusals were not (docs.stripe.com/api/idempotent_requests)."""
_log: Final = logging.getLogger(__name__)
_ENCODER: Final = msgspec.json.Encoder()


class ConnectionReset(Exception):
    """The connection ends without an answer."""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    encoded: str
    headers: dict[bytes, bytes]
    request_id: str
    receive: Any

    def header(self, name: bytes) -> str | None:
        """Return a header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class StripeApi:
    """Answers `/v1/…`."""

    def __init__(self, worlds: Worlds, keys: Keys, faults: Faults) -> None:
        self._worlds = worlds
        self._keys = keys
        self._faults = faults
        self.requests = 0
        self.replay_hides_secret = False
        """Whether the replay of an endpoint's creation leaves the secret out: Stripe does not say that it is kept."""

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await read_body(receive, limit=MAXIMUM_BYTES)
        self.requests += 1
        method = scope["method"]
        encoded = body if method == "POST" else scope["query_string"]
        request = Request(
            method, scope["path"], encoded.decode(), dict(scope["headers"]), f"req_{random_text(14)}", receive
        )
        try:
            answer = await self._answer(request)
        except ConnectionReset:
            await _reset(receive, send)
            return
        await _send(send, request, answer)

    async def _answer(self, request: Request) -> Answer:
        fault = self._faults.call(request.method, request.path)
        await _before(fault, request)
        try:
            key = self._keys.authenticate(request.header(b"authorization"))
            check_account(key, request.header(b"stripe-account"))
            if fault is not None:
                _refuse(fault)
            answer = await self._execute(request, key, fault)
        except StripeFault as error:
            answer = Answer(error.status, _ENCODER.encode(error.body))
        else:
            await _after(fault, request)
            if fault is not None and fault.kind == "500_after":
                return Answer(500, _ENCODER.encode(_broken().body))
        return answer

    async def _execute(self, request: Request, key: Key, fault: Fault | None) -> Answer:
        opened = self._worlds.open(key)
        route, object_id = opened.table.find(request.method, request.path)
        check_permission(key, route.permission)
        name = request.header(b"idempotency-key") if request.method == "POST" else None
        state = opened.world.state

        def run() -> Answer:
            state.request = {"id": request.request_id, "idempotency_key": name}
            try:
                answer = route.run(Call(params=parse_form(request.encoded), object_id=object_id))
                return Answer(200, _ENCODER.encode(answer))
            except StripeFault:
                raise
            except Exception as error:
                _log.exception("%s %s failed", request.method, request.path)
                raise _broken() from error
            finally:
                if name is None:
                    state.flush()

        if name is None:
            await _latency(fault)
            return run()
        return await self._execute_once(opened.world, request, name, run, fault)

    async def _execute_once(
        self, world: World, request: Request, name: str, run: Callable[[], Answer], fault: Fault | None
    ) -> Answer:
        """Execute under an idempotency key, and save the answer when execution began."""
        keys = world.idempotency
        fingerprint = hashlib.sha256(f"{request.method} {request.path} {request.encoded}".encode()).hexdigest()
        saved = keys.begin(name, fingerprint)
        if saved is not None:
            return Answer(saved[0], self._replay(request, saved[1]), replayed=True)
        try:
            await _latency(fault)
            answer = _run_or_break(run, fault)
        except StripeFault as error:
            if error.status in _EXECUTED:
                keys.save(name, fingerprint, status=error.status, body=_ENCODER.encode(error.body))
            raise
        else:
            keys.save(name, fingerprint, status=answer.status, body=answer.body)
            return answer
        finally:
            keys.release(name)
            world.state.flush()

    def _replay(self, request: Request, body: bytes) -> bytes:
        if not self.replay_hides_secret or request.path != "/v1/webhook_endpoints":
            return body
        shown = msgspec.json.decode(body)
        shown.pop("secret", None)
        return _ENCODER.encode(shown)


def _run_or_break(run: Callable[[], Answer], fault: Fault | None) -> Answer:
    broken = Answer(500, _ENCODER.encode(_broken().body))
    if fault is not None and fault.kind == "500_saved":
        return broken
    answer = run()
    return broken if fault is not None and fault.kind == "500_saved_after" else answer


def _refuse(fault: Fault) -> None:
    """Raise the refusals that come before execution."""
    if fault.kind == "429":
        raise StripeFault(
            429,
            "invalid_request_error",
            "Request rate limit exceeded. Learn more about rate limits here: https://stripe.com/docs/rate-limits.",
            code="rate_limit",
        )
    if fault.kind == "409":
        raise StripeFault(
            409,
            "invalid_request_error",
            "This object cannot be accessed right now because another API request or Stripe process is currently "
            "accessing it.",
            code="lock_timeout",
        )
    if fault.kind == "500_before":
        raise _broken()


def _broken() -> StripeFault:
    return StripeFault(
        500, "api_error", "An unexpected error occurred while processing your request, please try again later."
    )


async def _latency(fault: Fault | None) -> None:
    if fault is not None and fault.kind == "latency":
        await asyncio.sleep(fault.seconds)


async def _before(fault: Fault | None, request: Request) -> None:
    if fault is None:
        return
    if fault.kind == "timeout_before":
        await _hang(fault, request)
    elif fault.kind == "reset_before":
        raise ConnectionReset


async def _after(fault: Fault | None, request: Request) -> None:
    if fault is None:
        return
    if fault.kind == "timeout_after":
        await _hang(fault, request)
    elif fault.kind == "reset_after":
        raise ConnectionReset


async def _hang(fault: Fault, request: Request) -> None:
    """Say nothing until the caller gives up or the time is over; then end the connection."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(fault.seconds or HANG_SECONDS):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    raise ConnectionReset


async def _reset(receive: Receive, send: Send) -> None:
    """Reset the TCP connection under the request.

    ASGI knows no such message: uvicorn's `send` is bound to the cycle that holds the transport.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError
    bound = transport.get_extra_info("socket")
    if bound is not None and bound.fileno() >= 0:
        # a linger time of zero makes the close a reset; on a copy, for the event loop's own socket takes no options
        with socket.socket(fileno=os.dup(bound.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
            await asyncio.sleep(0)
    else:
        transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, request: Request, answer: Answer) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer.body)).encode()),
        (b"request-id", request.request_id.encode()),
        (b"stripe-version", API_VERSION.encode()),
    ]
    if request.method == "POST" and b"idempotency-key" in request.headers:
        headers.append((b"idempotency-key", request.headers[b"idempotency-key"]))
    if answer.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
