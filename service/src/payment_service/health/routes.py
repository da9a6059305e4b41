"""Plain ASGI routes of health and metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.errors import TooManyRequests
from payment_service.http.responses import respond, respond_problem
from payment_service.http.route_access import PlainRoute, public
from payment_service.http.scope import noted
from payment_service.observability import metrics
from payment_service.ratelimit.limiter import Rule
from payment_service.ratelimit.limits import client_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from litestar.types import Receive, Scope, Send

    from payment_service.health.service import Health
    from payment_service.http.addresses import Network
    from payment_service.http.route_access import Access
    from payment_service.ratelimit.limiter import Limiter

_JSON: Final = b"application/json"
LIVE: Final = b'{"status":"alive"}'
HEALTH_PATH: Final = "/health"
LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"
METRICS_PATH: Final = "/metrics"
HEALTH: Final = public("load balancers and people ask it, without a key", audience="machines")
PROBE: Final = public("Kubernetes' probes carry no key", audience="machines")
SCRAPE: Final = public(
    "Prometheus carries no key; no label holds what a caller or a customer says", audience="machines"
)
_METRICS_TYPE: Final = metrics.CONTENT_TYPE.encode()


Answer = tuple[int, bytes, bytes]
"""Status, body, content type."""


def health_routes(health: Health) -> list[PlainRoute]:
    """Return the routes."""
    return [
        _reading(HEALTH_PATH, _report(health.report), HEALTH),
        _reading(LIVE_PATH, _live, PROBE),
        _reading(READY_PATH, _report(health.ready), PROBE),
        _reading(METRICS_PATH, _metrics, SCRAPE),
    ]


def _reading(path: str, answer: Callable[[], Awaitable[Answer]], access: Access) -> PlainRoute:
    """Make a route of `answer` that takes GET and HEAD only."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        status, body, content_type = await answer()
        await respond(send, status, body, content_type=content_type)

    return PlainRoute(path=path, methods=("GET", "HEAD"), answer=route, access=access)


def limited(
    routes: list[PlainRoute], *, limiter: Limiter, per_minute: int, proxies: tuple[Network, ...]
) -> list[PlainRoute]:
    """Return the routes with a limit for each client address at the report, which asks other servers without a key."""
    report = next(route for route in routes if route.path == HEALTH_PATH)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        address = client_address(scope, proxies=proxies)
        decision = await limiter.check(Rule("health", address, per_minute))
        if decision.allowed:
            await report.answer(scope, receive, send)
            return
        metrics.LIMITER_DECISIONS.labels("refused").inc()
        error = TooManyRequests(
            f"At most {per_minute} health reports in a minute; probes ask /health/live and /health/ready",
            retry_after=decision.reset_seconds,
        )
        await respond_problem(send, error, request_id=noted(scope).get("request_id"))

    if not per_minute:
        return routes
    return [replace(route, answer=answer) if route is report else route for route in routes]


async def _live() -> Answer:
    return 200, LIVE, _JSON


def _report(report: Callable[[], Awaitable[tuple[bool, Mapping[str, object]]]]) -> Callable[[], Awaitable[Answer]]:
    async def answer() -> Answer:
        passed, body = await report()
        return 200 if passed else 503, msgspec.json.encode(body), _JSON

    return answer


async def _metrics() -> Answer:
    """Render in a thread: thousands of series would hold up the event loop."""
    return 200, await asyncio.to_thread(metrics.render), _METRICS_TYPE
