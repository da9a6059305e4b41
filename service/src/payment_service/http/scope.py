"""The scope of an HTTP request: ASGI's (asgi.readthedocs.io/en/latest/specs/www.html), and what is noted in it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, cast

if TYPE_CHECKING:  # no type but a name for one: a worker need not load Litestar
    from collections.abc import Awaitable, Callable

    from litestar.types import HTTPScope, Scope

    from payment_service.http.route_access import Access
    from payment_service.ratelimit.limiter import Decision

    class RequestScope(HTTPScope, total=False):
        """What the layers between the socket and the handler tell each other of one request."""

        request_id: str
        access: Access | None
        """What the route that matched declares."""
        admitted: bool
        """It was let in: it counts in the share of failures."""
        principal: str
        keyed: bool
        """Whether it came with an API key."""
        key_id: str | None
        identify_again: Callable[[], Awaitable[object]]
        """Of a route that waits: raises what a new request would be answered with."""
        client_address: str
        decision: Decision | None
        """Of the general limits."""
        code: str | None
        """Of the problem that was answered."""
        waited: float
        """Seconds that were spent waiting for what the caller waits for: no answer is slow by them."""
        reason: str | None
        """Why it was refused, in a word for the log."""


def is_http(scope: Scope) -> TypeGuard[RequestScope]:
    """Tell whether it is the scope of an HTTP request, and no websocket's."""
    kind: object = scope["type"]
    return kind == "http"


def noted(scope: Scope) -> RequestScope:
    """Return the scope of an HTTP request as what it is here."""
    return cast("RequestScope", scope)
