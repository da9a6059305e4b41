"""Plain ASGI routes of health and metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.errors import MethodNotAllowed
from payment_service.platform import metrics
from payment_service.platform.responses import respond, respond_problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.types import ASGIApp, Receive, Send

    from payment_service.health.service import Health

_JSON: Final = b"application/json"
LIVE: Final = b'{"status":"alive"}'
LIVE_PATH: Final = "/health/live"
_METRICS_TYPE: Final = metrics.CONTENT_TYPE.encode()


Answer = tuple[int, bytes, bytes]
"""Status, body, content type."""


def health_routes(health: Health) -> dict[str, ASGIApp]:
    """Return the routes by path."""
    return {
        "/health": reading(_report(health.report)),
        LIVE_PATH: reading(_live),
        "/health/ready": reading(_report(health.ready)),
        "/metrics": reading(_metrics),
    }


def reading(answer: Callable[[], Awaitable[Answer]]) -> ASGIApp:
    """Make a route of `answer` that takes GET and HEAD only (RFC 9110, section 15.5.6)."""

    async def route(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        if scope["method"] in {"GET", "HEAD"}:
            status, body, content_type = await answer()
            await respond(send, status, body, content_type=content_type)
        else:
            error = MethodNotAllowed("Use GET", allow="GET, HEAD")
            await respond_problem(send, error, request_id=scope.get("request_id"))

    return route


async def _live() -> Answer:
    return 200, LIVE, _JSON


def _report(report: Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]) -> Callable[[], Awaitable[Answer]]:
    async def answer() -> Answer:
        passed, body = await report()
        return 200 if passed else 503, msgspec.json.encode(body), _JSON

    return answer


async def _metrics() -> Answer:
    """Render in a thread: thousands of series would hold up the event loop."""
    return 200, await asyncio.to_thread(metrics.render), _METRICS_TYPE
