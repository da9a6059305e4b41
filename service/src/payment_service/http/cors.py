"""Cross-origin requests (Fetch standard, CORS protocol): outside of access control, so browsers may read refusals.

Preflights are answered here, whether any origin is allowed or not: they carry no key (Fetch standard, CORS-preflight
fetch), so they are asked for none and count against nothing. Credentials are never allowed: API keys travel in
`Authorization`, which a page must hold itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.http.responses import header
from payment_service.http.scope import is_http, noted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import ASGIApp, Message, Receive, Scope, Send

_EXPOSED: Final = b"X-Request-ID, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy"
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, X-Request-ID"),
    (b"access-control-max-age", b"600"),
)


class Cors:
    """Answers preflights and marks answers for the allowed origins; others get no mark, so browsers refuse them."""

    def __init__(self, application: ASGIApp, *, origins: Sequence[str]) -> None:
        self._application = application
        self._origins = frozenset(origin.lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        origin = header(scope, b"origin") if is_http(scope) else None
        if origin is None:
            await self._application(scope, receive, send)
            return
        marks = [(b"vary", b"Origin")]
        if "*" in self._origins or origin.lower() in self._origins:
            marks += [(b"access-control-allow-origin", origin.encode("latin-1"))]
        if noted(scope)["method"] == "OPTIONS" and header(scope, b"access-control-request-method"):
            scope["path_template"] = "preflight"
            await send({"type": "http.response.start", "status": 204, "headers": [*marks, *_PREFLIGHT]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if not self._origins:
            await self._application(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exposed = (b"access-control-expose-headers", _EXPOSED)
                message["headers"] = [*message.get("headers", ()), *marks, exposed]
            await send(message)

        await self._application(scope, receive, send_marked)
