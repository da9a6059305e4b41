"""Whose address a request counts for, and what an answer tells of its limits."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from payment_service.http.addresses import counted_as, last_untrusted, parse_address, parse_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import Scope

    from payment_service.http.addresses import Network
    from payment_service.ratelimit.limiter import Decision

UNKNOWN: Final = "unknown"
"""What requests without a peer's address (Unix sockets) are counted under, all together."""
MAXIMUM_HOPS: Final = 32
"""Elements of `X-Forwarded-For` that are looked at; more are no chain of proxies, and end the walk at the peer."""
_REMEMBERED: Final = 4096
_REMEMBERED_BYTES: Final = 256


def parse_networks(networks: Sequence[str]) -> tuple[Network, ...]:
    """Return networks from `10.0.0.0/8` or single addresses."""
    return tuple(parse_network(network) for network in networks)


def client_address(scope: Scope, *, proxies: tuple[Network, ...]) -> str:
    """Return what the request's client is counted under: its IPv4 address, or the /64 of its IPv6 address.

    All `X-Forwarded-For` lines are one list, in the order they came (RFC 9110, section 5.3), read by
    `addresses.last_untrusted`; without trusted proxies, or from a peer that is none, they mean nothing.
    """
    peer = str(client[0]) if (client := scope.get("client")) else UNKNOWN
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"] if proxies else []
    forwarded = b",".join(lines)
    count = _remembered if len(forwarded) <= _REMEMBERED_BYTES else _counted_as  # callers choose how long it is
    return count(peer, forwarded, proxies)


def _counted_as(peer: str, forwarded: bytes, proxies: tuple[Network, ...]) -> str:
    address = parse_address(peer)
    if address is None:
        return UNKNOWN
    listed = (element.strip(" \t") for element in forwarded.decode("latin-1").rsplit(",", MAXIMUM_HOPS))
    hops = [element for element in listed if element]  # RFC 9110, section 5.6.1.2: empty elements do not count
    return counted_as(last_untrusted(address, hops, proxies=proxies))


_remembered = lru_cache(maxsize=_REMEMBERED)(_counted_as)


def limit_headers(decision: Decision) -> list[tuple[bytes, bytes]]:
    """Return the RateLimit headers (draft-ietf-httpapi-ratelimit-headers) of the rule that has the least left."""
    reset = math.ceil(decision.reset_seconds)
    return [
        (b"ratelimit-policy", f'"{decision.name}";q={decision.limit};w=60'.encode()),
        (b"ratelimit", f'"{decision.name}";r={decision.remaining};t={reset}'.encode()),
    ]
