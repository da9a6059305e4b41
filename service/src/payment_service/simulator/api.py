"""The Stripe API as an ASGI application: authentication, idempotency, faults, then the call."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.platform.responses import header, read_body
from payment_service.simulator.errors import StripeFault
from payment_service.simulator.forms import parse_form
from payment_service.simulator.routes import Call, Routes
from payment_service.simulator.state import random_text

if TYPE_CHECKING:
    from litestar.types import Receive, Send

    from payment_service.simulator.faults import Fault, Faults
    from payment_service.simulator.idempotency import IdempotencyKeys
    from payment_service.simulator.state import State

MAXIMUM_BYTES: Final = 1024 * 1024
HANG_SECONDS: Final = 120.0
"""A time-out fault keeps the connection open this long; the caller gives up earlier."""


class ConnectionReset(Exception):
    """The connection ends without an answer."""


class StripeApi:
    """Answers `/v1/…`."""

    def __init__(self, state: State, routes: Routes, keys: IdempotencyKeys, faults: Faults) -> None:
        self._state = state
        self._routes = routes
        self._keys = keys
        self._faults = faults
        self.requests = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await read_body(receive, limit=MAXIMUM_BYTES)
        self.requests += 1
        try:
            status, answer, replayed = await self._answer(scope, body)
        except ConnectionReset:
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (b"request-id", f"req_{random_text(14)}".encode()),
            (b"stripe-version", b"2026-10-28.endive"),
        ]
        if replayed:
            headers.append((b"idempotent-replayed", b"true"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})

    async def _answer(self, scope: Any, body: bytes) -> tuple[int, bytes, bool]:
        method, path = scope["method"], scope["path"]
        fault = self._faults.call(method, path)
        await _before(fault)
        try:
            self._authenticate(scope)
            if fault is not None and fault.kind in {"429", "409", "500_before"}:
                raise _fault_answer(fault)
            status, answer, replayed = self._execute(scope, body)
        except StripeFault as error:
            return error.status, msgspec.json.encode(error.body), False
        self._state.flush()
        await _after(fault)
        if fault is not None and fault.kind == "500_after":
            return 500, msgspec.json.encode(_fault_answer(fault).body), False
        return status, answer, replayed

    def _authenticate(self, scope: Any) -> None:
        """Take any test key (docs.stripe.com/keys); a live key must never reach a stand-in."""
        scheme, _, key = (header(scope, b"authorization") or "").partition(" ")
        if scheme != "Bearer" or not key.startswith(("sk_test_", "rk_test_")):
            raise StripeFault(401, "invalid_request_error", "Invalid API Key provided")

    def _execute(self, scope: Any, body: bytes) -> tuple[int, bytes, bool]:
        method, path = scope["method"], scope["path"]
        encoded = body.decode() if method == "POST" else scope["query_string"].decode()
        handler, object_id = self._routes.find(method, path)
        call = Call(params=parse_form(encoded), object_id=object_id, path=path)
        key = header(scope, b"idempotency-key")
        if method == "GET" or key is None:
            return 200, msgspec.json.encode(handler(call)), False
        fingerprint = hashlib.sha256(f"{method} {path} {encoded}".encode()).hexdigest()
        saved = self._keys.begin(key, fingerprint)
        if saved is not None:
            return saved[0], saved[1].encode(), True
        return self._execute_once(handler, call, key, fingerprint)

    def _execute_once(self, handler: Any, call: Call, key: str, fingerprint: str) -> tuple[int, bytes, bool]:
        """Execute under a key and save the answer; a declined card is executed, a bad parameter is not."""
        body: str | None = None
        status = 200
        try:
            body = msgspec.json.encode(handler(call)).decode()
        except StripeFault as error:
            status = error.status
            if error.status == 402:  # noqa: PLR2004 - a decline comes after execution began
                body = msgspec.json.encode(error.body).decode()
            raise
        finally:
            self._keys.end(key, fingerprint, status=status, body=body)
        return status, body.encode(), False


async def _before(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.kind == "latency":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "timeout_before":
        await asyncio.sleep(fault.seconds or HANG_SECONDS)
        raise ConnectionReset
    elif fault.kind == "reset_before":
        raise ConnectionReset


async def _after(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.kind == "timeout_after":
        await asyncio.sleep(fault.seconds or HANG_SECONDS)
        raise ConnectionReset
    if fault.kind == "reset_after":
        raise ConnectionReset


def _fault_answer(fault: Fault) -> StripeFault:
    if fault.kind == "429":
        return StripeFault(
            429, "invalid_request_error", "Too many requests hit the API too quickly.", code="rate_limit"
        )
    if fault.kind == "409":
        return StripeFault(409, "invalid_request_error", "The object is in use.", code="lock_timeout")
    return StripeFault(500, "api_error", "An unknown error occurred")
