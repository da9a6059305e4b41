"""Whose address a request counts for, and what an answer tells of its limits."""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING, Any

from payment_service.platform.responses import header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from payment_service.platform.limiter import Decision


def parse_networks(networks: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return networks from `10.0.0.0/8` or single addresses."""
    return [ipaddress.ip_network(network, strict=False) for network in networks]


def client_address(scope: Any, *, proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """Return the client's address.

    `X-Forwarded-For` is read from the right for as long as the hop before is a trusted proxy, so that a client cannot
    put an address of its choice there.
    """
    peer = str(scope["client"][0]) if scope.get("client") else "unknown"
    if not proxies:
        return peer
    forwarded = header(scope, b"x-forwarded-for")
    if not forwarded:
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


def limit_headers(decision: Decision) -> list[tuple[bytes, bytes]]:
    """Return the RateLimit headers (draft-ietf-httpapi-ratelimit-headers) of the rule that has the least left."""
    reset = math.ceil(decision.reset_seconds)
    return [
        (b"ratelimit-policy", f'"{decision.name}";q={decision.limit};w=60'.encode()),
        (b"ratelimit", f'"{decision.name}";r={decision.remaining};t={reset}'.encode()),
    ]
