"""Applies the limit of create-subscription: per client address, before the body is read."""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING, Any, Final

from payment_service.errors import TooManyRequests
from payment_service.platform.metrics import LIMITER_DECISIONS
from payment_service.platform.responses import header, respond_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import ASGIApp, Message, Receive, Send

    from payment_service.platform.limiter import Decision, Limiter
    from payment_service.settings import HttpSettings

CREATE_PATH: Final = "/api/v1/payments/create-subscription"


class CreateLimit:
    """Refuses create-subscription calls over the limit with 429; everything else passes untouched."""

    def __init__(self, application: ASGIApp, *, limiter: Limiter, settings: HttpSettings) -> None:
        self._application = application
        self._limiter = limiter
        self._limit = settings.create_limit_per_minute
        self._proxies = parse_networks(settings.trusted_proxies)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Check, then pass the request on."""
        if scope.get("path") != CREATE_PATH or scope.get("method") != "POST" or not self._limit:
            await self._application(scope, receive, send)
            return
        address = client_address(scope, proxies=self._proxies)
        decision = await self._limiter.check("create_subscription", address, limit=self._limit)
        LIMITER_DECISIONS.labels("allowed" if decision.allowed else "refused").inc()
        if decision.allowed:
            await self._application(scope, receive, _with_headers(send, decision))
            return
        scope["path_template"] = CREATE_PATH
        error = TooManyRequests(
            f"At most {decision.limit} of these requests in any minute; try again later",
            retry_after=decision.reset_seconds,
        )
        await respond_problem(_with_headers(send, decision), error, request_id=scope.get("request_id"))


def parse_networks(networks: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return networks from `10.0.0.0/8` or single addresses."""
    return [ipaddress.ip_network(network, strict=False) for network in networks]


def client_address(scope: Any, *, proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """Return the client's address.

    `X-Forwarded-For` is read from the right for as long as the hop before is a trusted proxy, so that a client cannot
    put an address of its choice there.
    """
    peer = str(scope["client"][0]) if scope.get("client") else "unknown"
    forwarded = header(scope, b"x-forwarded-for")
    if not forwarded or not proxies:
        return peer
    for hop in reversed([part.strip() for part in forwarded.split(",")]):
        if not _trusted(peer, proxies):
            break
        peer = hop
    return peer


def _trusted(address: str, proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in proxies)


def _with_headers(send: Send, decision: Decision) -> Send:
    """Add RateLimit headers (draft-ietf-httpapi-ratelimit-headers)."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            reset = math.ceil(decision.reset_seconds)
            message["headers"] = [
                *message.get("headers", ()),
                (b"ratelimit-policy", f'"create";q={decision.limit};w=60'.encode()),
                (b"ratelimit", f'"create";r={decision.remaining};t={reset}'.encode()),
            ]
        await send(message)

    return sending
