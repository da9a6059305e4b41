"""Lets a request in: who calls, and whether the limits allow it, before its body is read.

A mutating request is counted against its address, its API key and, when it creates a subscription, the exact limit of
that, in one atomic round trip. Reads are counted against address and key by parts taken in advance
(`platform/leases.py`), so that a read from the cache needs no round trip at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from payment_service.errors import TooManyRequests
from payment_service.platform.failures import to_problem
from payment_service.platform.leases import Leases
from payment_service.platform.limiter import Rule
from payment_service.platform.limits import client_address, limit_headers, parse_networks
from payment_service.platform.metrics import LIMITER_DECISIONS
from payment_service.platform.responses import header, respond_problem

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Send

    from payment_service.access.schemas import Scope
    from payment_service.access.service import Access, Identity
    from payment_service.platform.limiter import Decision, Limiter
    from payment_service.settings import HttpSettings

API: Final = "/api/"
ADMINISTRATION: Final = "/api/v1/admin/"
CREATE_PATH: Final = "/api/v1/payments/create-subscription"
REFUSED: Final = "/api/v1"
"""The route label of requests that were refused before their route was known."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOWED: Final = LIMITER_DECISIONS.labels("allowed")
_REFUSED: Final = LIMITER_DECISIONS.labels("refused")


class Admission:
    """Wraps the API: puts the principal into the scope, or refuses with 401, 403 or 429."""

    def __init__(self, application: ASGIApp, *, access: Access, limiter: Limiter, settings: HttpSettings) -> None:
        self._application = application
        self._access = access
        self._limiter = limiter
        self._leases = Leases(limiter)
        self._settings = settings
        self._proxies = parse_networks(settings.trusted_proxies)
        self._headers: tuple[Decision | None, list[tuple[bytes, bytes]]] = (None, [])

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Check, then pass the request on."""
        path = scope["path"]
        if scope["type"] != "http" or not path.startswith(API):
            await self._application(scope, receive, send)
            return
        decision = None
        try:
            address = client_address(scope, proxies=self._proxies)
            reading = scope["method"] in _READING
            needed: Scope = "admin" if path.startswith(ADMINISTRATION) else "read" if reading else "write"
            caller = await self._access.identify(header(scope, b"authorization"), scope=needed, address=address)
            scope["principal"] = caller.principal
            decision = await self._decide(scope, caller, address, reading=reading)
            if decision is not None and not decision.allowed:
                raise TooManyRequests(
                    f"At most {decision.limit} requests in any minute ({decision.name}); try again later",
                    retry_after=decision.reset_seconds,
                )
        except Exception as error:  # noqa: BLE001 - each becomes an answer
            scope["path_template"] = path if path == CREATE_PATH else REFUSED
            request_id = scope.get("request_id")
            await respond_problem(self._marking(send, decision), to_problem(error), request_id=request_id)
            return
        await self._application(scope, receive, self._marking(send, decision))

    async def _decide(self, scope: Any, caller: Identity, address: str, *, reading: bool) -> Decision | None:
        """Count the request; None when no limit is set."""
        rules = self._rules(caller, address)
        limit = self._settings.create_limit_per_minute
        if not reading and limit and scope["path"] == CREATE_PATH:
            rules = (Rule("create", address, limit, exact=True), *rules)
        if not rules:
            return None
        decision = await (self._leases.check(rules) if reading else self._limiter.check(*rules))
        (_ALLOWED if decision.allowed else _REFUSED).inc()
        return decision

    def _rules(self, caller: Identity, address: str) -> tuple[Rule, ...]:
        by_address, by_key = self._settings.address_limit_per_minute, self._settings.key_limit_per_minute
        rules = (Rule("address", address, by_address),) if by_address else ()
        if by_key and caller.key_id is not None:
            rules = (*rules, Rule("key", caller.key_id, by_key))
        return rules

    def _marking(self, send: Send, decision: Decision | None) -> Send:
        """Add the RateLimit headers to the answer."""
        if decision is None:
            return send
        if self._headers[0] is not decision:
            self._headers = (decision, limit_headers(decision))
        marks = self._headers[1]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *marks]
            await send(message)

        return sending
