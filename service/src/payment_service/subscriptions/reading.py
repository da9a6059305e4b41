"""The fast way to read one subscription: a plain ASGI callable in front of the application, with the cache.

What it does not know (other methods, ids of another form, any query) goes to the application, which answers the same.
It stands in the place of one handler of the application's and lets in whom that one's declaration lets in.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.http.failures import to_problem
from payment_service.http.responses import respond, respond_problem
from payment_service.http.route_access import declared
from payment_service.http.scope import noted

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar import Litestar
    from litestar.types import ASGIApp, Receive, Scope, Send

    from payment_service.caching.cache import ReadCache
    from payment_service.http.route_access import Access
    from payment_service.subscriptions.service import Subscriptions

PREFIX: Final = "/api/v1/subscriptions/"
TABLE: Final = "subscriptions"
_ID: Final = re.compile(r"lps_[A-Za-z0-9_]{1,250}")


class SubscriptionReads:
    """Answers GET of one subscription in place of its handler, whose declaration and template it goes by.

    Args:
        api: everything else.
        admission: wraps the answer in what lets callers of a route in.

    Raises:
        RuntimeError: another route of the API has the paths that this answers.
    """

    def __init__(
        self,
        api: Litestar,
        *,
        admission: Callable[[ASGIApp, Access], ASGIApp],
        subscriptions: Subscriptions,
        cache: ReadCache,
    ) -> None:
        self.api = api
        self._template, access = _matched(api)
        self._answer = admission(self._read_one, access)
        self._subscriptions = subscriptions
        self._cache = cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        path = scope["path"]
        known = path.startswith(PREFIX) and noted(scope)["method"] == "GET" and _ID.fullmatch(path, len(PREFIX))
        if not known or scope["query_string"]:
            await self.api(scope, receive, send)
            return
        scope["path_template"] = self._template
        await self._answer(scope, receive, send)

    async def _read_one(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        subscription_id = scope["path"][len(PREFIX) :]
        body = self._cache.look_up(subscription_id)
        if body is None:
            try:
                body = await self._cache.load(subscription_id, partial(self._read, subscription_id))
            except Exception as error:  # noqa: BLE001 - each becomes an answer
                await respond_problem(send, to_problem(error), request_id=noted(scope).get("request_id"))
                return
        await respond(send, 200, body)

    async def _read(self, subscription_id: str) -> bytes:
        """Read the row; one that is remembered must not come from a replica that lags."""
        view = await self._subscriptions.get(subscription_id, may_lag=not self._cache.enabled)
        return msgspec.json.encode(view)


def _matched(api: Litestar) -> tuple[str, Access]:
    """Return the template and the declaration of the handler in whose place this answers: the router's own match."""
    _, handler, _, _, template = api.asgi_router.handle_routing(path=f"{PREFIX}lps_1", method="GET")
    shadowed = [
        route.path
        for route in api.routes
        if "GET" in route.methods and _ID.fullmatch(route.path_format.removeprefix(PREFIX))
    ]
    access = declared(handler)
    if access is None or shadowed:
        raise RuntimeError(f"reads of a subscription would answer for another route: {shadowed or template}")
    return template, access
