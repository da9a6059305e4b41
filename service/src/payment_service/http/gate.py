"""The outermost ASGI layer: request ids, metrics, drain, and the routes that must be fast.

Paths that two programs may read differently are refused here, before anything else looks at them (`paths.py`).
`/health*`, `/metrics` and the webhook route are plain ASGI callables found by one dictionary look-up; everything else
goes to Litestar. Labels and security headers are those of the route that matched; what matches none is `unmatched`.
The time of an answer holds no waiting for the caller's body, nor for the events that a caller waits for: neither
makes the service slow.
What was let in (`scope["admitted"]`) is counted apart: refusals of strangers, of whom there can be any number, neither
raise nor hide a share of failures.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.errors import BadPath
from payment_service.http.paths import check_path
from payment_service.http.refusals import REFUSED, log_members, note_refusal
from payment_service.http.responses import refuse_websocket, respond_problem
from payment_service.http.scope import is_http
from payment_service.observability.loggable import is_request_id
from payment_service.observability.logging import REQUEST_LINES
from payment_service.observability.metrics import HTTP_REQUESTS, HTTP_SECONDS

if TYPE_CHECKING:
    from litestar.types import (
        ASGIApp,
        HTTPReceiveMessage,
        HTTPResponseBodyEvent,
        Message,
        Receive,
        Scope,
        Send,
        WebSocketReceiveMessage,
    )
    from prometheus_client import Counter, Histogram

    from payment_service.http.drain import DrainState
    from payment_service.http.route_access import Audience, PlainRoutes
    from payment_service.http.scope import RequestScope
    from payment_service.observability.logging import Line

log = structlog.get_logger("payment_service.http")

REQUEST_ID: Final = b"x-request-id"
API: Final = "/api/"
UNMATCHED: Final = "unmatched"
"""The route label of what no route matched: no caller can choose a label."""
Headers = tuple[tuple[bytes, bytes], ...]
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


SecurityHeaders = Mapping["Audience", Headers]
"""By the audience of the route."""


def security_headers(*, production: bool) -> SecurityHeaders:
    """Return what the readers of answers are told (OWASP HTTP Headers Cheat Sheet).

    Probes, metrics and webhooks, which no browser reads, go without.
    """
    both: Headers = (
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
    )
    if production:
        both = (*both, (b"strict-transport-security", b"max-age=31536000"))
    policy = (
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:"
    )
    api = ((b"cache-control", b"no-store"), (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
    page = (b"content-security-policy", policy + b"; frame-ancestors 'none'")
    return {"clients": (*both, *api), "browsers": (*both, page), "machines": ()}


class _Constant:
    """An answer that is always the same but for its request id: what a liveness probe gets."""

    def __init__(self, path: str, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self.requests, self.durations = _series("GET", path, 200, "false")
        self._headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
        self._body: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}

    async def answer(self, send: Send, request_id: bytes, *, closing: bool) -> None:
        headers = [*self._headers, (REQUEST_ID, request_id)]
        if closing:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(self._body)


class Gate:
    """Wraps the application.

    Args:
        routes: plain ASGI callables by exact path.
        application: everything else.
        drain: whether answers carry `Connection: close`.
        constants: JSON bodies that GET answers at once, by exact path; other methods go to the routes.
        headers: added to every answer.
        security: headers by audience; what matches no route has those of API answers.
    """

    def __init__(
        self,
        routes: PlainRoutes,
        application: ASGIApp,
        *,
        drain: DrainState,
        constants: Mapping[str, bytes] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        security: SecurityHeaders | None = None,
    ) -> None:
        self.routes = routes
        self.application = application
        self._drain = drain
        self._headers = headers
        self._security = {audience: (*headers, *added) for audience, added in (security or {}).items()}
        self._constants = {path.encode(): _Constant(path, body, headers) for path, body in (constants or {}).items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if is_http(scope):
            await self._handle(scope, receive, send)
        else:
            await refuse_websocket(receive, send)

    async def _handle(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        constant = self._constants.get(scope["raw_path"])
        if constant is not None and scope["method"] == "GET":
            await constant.answer(send, _request_id(scope), closing=self._drain.closing_connections)
            constant.requests.inc()
            constant.durations.observe(time.perf_counter() - started)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id.decode()
        status, waited = 500, 0.0

        async def receive_timed() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal waited
            began = time.perf_counter()
            try:
                return await receive()
            finally:
                waited += time.perf_counter() - began

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                access = scope.get("access")
                added = self._security.get(access.audience if access else "clients", self._headers)
                headers = message["headers"] = [*message.get("headers", ()), (REQUEST_ID, request_id), *added]
                if self._drain.closing_connections:
                    headers.append((b"connection", b"close"))
            elif status >= REFUSED and message["type"] == "http.response.body":
                note_refusal(scope, message["body"])
            await send(message)

        try:
            await self._answer(scope, receive_timed, send_marked)
        finally:
            waited += scope.get("waited", 0.0)
            _count(scope, scope.get("path_template") or UNMATCHED, status, time.perf_counter() - started - waited)

    async def _answer(self, scope: RequestScope, receive: Receive, send: Send) -> None:
        try:
            check_path(scope)
        except BadPath as error:
            await respond_problem(send, error, request_id=scope["request_id"])
        else:
            await (self.routes.find(scope) or self.application)(scope, receive, send)


def _request_id(scope: Scope) -> bytes:
    """Return the caller's request id when it may be repeated, else a new one."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID and is_request_id(value.decode("latin-1")):
            return value
    return b"%032x" % random.getrandbits(128)


@cache
def _series(method: str, template: str, status: int, admitted: str) -> tuple[Counter, Histogram]:
    """Return the two children; there are as many as routes, methods and statuses, so the cache stays small."""
    return HTTP_REQUESTS.labels(method, template, status, admitted), HTTP_SECONDS.labels(method, template, admitted)


def _count(scope: RequestScope, template: str, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    requests, durations = _series(method, template, status, "true" if scope.get("admitted") else "false")
    requests.inc()
    durations.observe(seconds)
    if template.startswith(API):
        line: Line = {
            "method": method,
            "route": template,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "request_id": scope["request_id"],
        }
        why = log_members(scope) if status >= REFUSED else {}
        if not REQUEST_LINES.write(**line, why=why):
            log.info("request", **line, **why)
