"""The outermost ASGI layer: request ids, metrics, drain, and the routes that must be fast.

`/health*`, `/metrics` and the webhook route are plain ASGI callables found by one dictionary look-up; everything else
goes to Litestar.
"""

from __future__ import annotations

import random
import re
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import structlog

from payment_service.platform.logging import REQUEST_LINES
from payment_service.platform.metrics import HTTP_REQUESTS, HTTP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from prometheus_client import Counter, Histogram

    from payment_service.platform.drain import DrainState

log = structlog.get_logger("payment_service.http")

REQUEST_ID: Final = b"x-request-id"
_REQUEST_ID_FORM: Final = re.compile(rb"[A-Za-z0-9._-]{8,128}")
API: Final = "/api/"
Headers = tuple[tuple[bytes, bytes], ...]
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


SecurityHeaders = tuple[Headers, Headers]


def security_headers(*, production: bool) -> SecurityHeaders:
    """Return what browsers are told with API answers and with pages (OWASP HTTP Headers Cheat Sheet).

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
    return (*both, *api), (*both, (b"content-security-policy", policy + b"; frame-ancestors 'none'"))


class _Constant:
    """An answer that is always the same but for its request id: what a liveness probe gets."""

    def __init__(self, path: str, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self.requests, self.durations = _series("GET", path, 200)
        self._headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
        self._body: Any = {"type": "http.response.body", "body": body, "more_body": False}

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
        security: headers of the application's answers to API requests and to others (pages).
    """

    def __init__(
        self,
        routes: Mapping[str, ASGIApp],
        application: ASGIApp,
        *,
        drain: DrainState,
        constants: Mapping[str, bytes] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        security: SecurityHeaders = ((), ()),
    ) -> None:
        self._routes = routes
        self._application = application
        self._drain = drain
        self._headers = headers
        self._security = security
        self._constants = {path: _Constant(path, body, headers) for path, body in (constants or {}).items()}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started = time.perf_counter()
        constant = self._constants.get(scope["path"])
        if constant is not None and scope["method"] == "GET":
            await constant.answer(send, _request_id(scope), closing=self._drain.closing_connections)
            constant.requests.inc()
            constant.durations.observe(time.perf_counter() - started)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id.decode()
        status = 500
        route = self._routes.get(scope["path"])
        added = self._headers if route else (*self._headers, *self._security[not scope["path"].startswith(API)])

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (REQUEST_ID, request_id), *added]
                if self._drain.closing_connections:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        try:
            await (route or self._application)(scope, receive, send_marked)
        finally:
            template = scope["path"] if route else scope.get("path_template") or "unmatched"
            _count(scope, template, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> bytes:
    """Return the caller's request id when it has a safe form, else a new one."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID and _REQUEST_ID_FORM.fullmatch(value):
            return value
    return b"%032x" % random.getrandbits(128)


@cache
def _series(method: str, template: str, status: int) -> tuple[Counter, Histogram]:
    """Return the two children; there are as many as routes, methods and statuses, so the cache stays small."""
    return HTTP_REQUESTS.labels(method, template, status), HTTP_SECONDS.labels(method, template)


def _count(scope: Any, template: str, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    requests, durations = _series(method, template, status)
    requests.inc()
    durations.observe(seconds)
    if template.startswith(API):
        line: dict[str, Any] = {
            "method": method,
            "route": template,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "request_id": scope["request_id"],
        }
        if not REQUEST_LINES.write(**line):
            log.info("request", **line)
