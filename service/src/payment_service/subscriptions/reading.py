"""The fast way to read one subscription: a plain ASGI callable in front of the application, with the cache.

What it does not know (other methods, ids of another form) goes to the application, which answers the same.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.platform.failures import to_problem
from payment_service.platform.responses import respond, respond_problem

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Send

    from payment_service.platform.cache import ReadCache
    from payment_service.subscriptions.service import Subscriptions

PREFIX: Final = "/api/v1/subscriptions/"
TEMPLATE: Final = "/api/v1/subscriptions/{subscription_id}"
TABLE: Final = "subscriptions"
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")


class SubscriptionReads:
    """Answers GET of one subscription."""

    def __init__(self, application: ASGIApp, *, subscriptions: Subscriptions, cache: ReadCache) -> None:
        self._application = application
        self._subscriptions = subscriptions
        self._cache = cache

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        path = scope["path"]
        if not path.startswith(PREFIX) or scope["type"] != "http" or scope["method"] != "GET":
            await self._application(scope, receive, send)
            return
        subscription_id = path[len(PREFIX) :]
        if not _ID.fullmatch(subscription_id):
            await self._application(scope, receive, send)
            return
        scope["path_template"] = TEMPLATE
        body = self._cache.look_up(subscription_id)
        if body is None:
            try:
                body = await self._cache.load(subscription_id, partial(self._read, subscription_id))
            except Exception as error:  # noqa: BLE001 - each becomes an answer
                await respond_problem(send, to_problem(error), request_id=scope.get("request_id"))
                return
        await respond(send, 200, body)

    async def _read(self, subscription_id: str) -> bytes:
        """Read the row; one that is remembered must not come from a replica that lags."""
        view = await self._subscriptions.get(subscription_id, may_lag=not self._cache.enabled)
        return msgspec.json.encode(view)
