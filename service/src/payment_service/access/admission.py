"""Lets a request in: who calls, and whether the limits allow it, before its body is read.

It stands between the router and the handler, so what it goes by is the declaration of the very handler that acts
(`http/route_access.py`); the method only tells reads, which are counted more cheaply, from changes.

A request is counted against its API key, or against its address when it has none (development): callers with a key
share a proxy's address, and none may use up what the others may do. A limit that its handler declares is counted where
the handler's work would begin (`payments/limits.py`). Reads are counted by parts taken in advance
(`ratelimit/leases.py`), so that a read from the cache needs no round trip at all. How many requests a caller has under
way at once is bounded too (`ratelimit/in_flight.py`), by principal: two keys of one do not double its share. Those that
wait for events are bounded by the same number apart from the others, for they hold nothing while they wait; what they
wait for is theirs only if their key is still good by then, so they are asked again (`feed/readers.py`).

Neither holds for what is public: no webhook is refused because there are many.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from payment_service.errors import Forbidden, TooManyRequests
from payment_service.http.failures import to_problem
from payment_service.http.responses import respond_problem, sole_header
from payment_service.http.route_access import declared
from payment_service.http.scope import noted
from payment_service.observability.metrics import LIMITER_DECISIONS
from payment_service.ratelimit.leases import Leases
from payment_service.ratelimit.limiter import Rule
from payment_service.ratelimit.limits import client_address, limit_headers, parse_networks

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from payment_service.access.service import Access, Identity
    from payment_service.config.settings import HttpSettings
    from payment_service.errors import PaymentsError
    from payment_service.http.route_access import Access as RouteAccess
    from payment_service.http.scope import RequestScope
    from payment_service.ratelimit.in_flight import InFlight
    from payment_service.ratelimit.limiter import Decision, Limiter

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOWED: Final = LIMITER_DECISIONS.labels("allowed")
_REFUSED: Final = LIMITER_DECISIONS.labels("refused")


class Admission:
    """Puts the principal into the scope of a request, or refuses it with 401, 403 or 429."""

    def __init__(
        self, *, access: Access, limiter: Limiter, in_flight: InFlight, waiting: InFlight, settings: HttpSettings
    ) -> None:
        self._access = access
        self._in_flight = in_flight
        self._waiting = waiting
        self._limiter = limiter
        self._leases = Leases(limiter)
        self._settings = settings
        self._proxies = parse_networks(settings.trusted_proxies)
        self._headers: tuple[Decision | None, list[tuple[bytes, bytes]]] = (None, [])

    def guard(self, answer: ASGIApp, access: RouteAccess) -> ASGIApp:
        """Wrap a plain ASGI callable."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            await self._admit(answer, access, noted(scope), receive, send)

        return guarded

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap a handler of Litestar's, which sets `route_handler` before."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            await self._admit(app, declared(scope["route_handler"]), noted(scope), receive, send)

        return guarded

    async def _admit(
        self, answer: ASGIApp, access: RouteAccess | None, scope: RequestScope, receive: Receive, send: Send
    ) -> None:
        """Check, then pass the request on."""
        scope["access"] = access
        if access is not None and access.scope is None:
            await answer(scope, receive, send)
            return
        with ExitStack() as until_answered:
            try:
                decision = await self._check(access, scope, until_answered)
            except Exception as error:  # noqa: BLE001 - each becomes an answer
                await self._refuse(scope, send, to_problem(error))
                return
            scope["admitted"] = True
            await answer(scope, receive, self._marking(send, decision))

    async def _refuse(self, scope: RequestScope, send: Send, problem: PaymentsError) -> None:
        """Answer; apart, for a frame of its traceback that named the error would keep it, and what was sent, alive."""
        scope["key_id"], scope["reason"] = problem.key_id or scope.get("key_id"), problem.reason
        await respond_problem(self._marking(send, scope.get("decision")), problem, request_id=scope.get("request_id"))

    async def _check(
        self, access: RouteAccess | None, scope: RequestScope, until_answered: ExitStack
    ) -> Decision | None:
        """Put the principal into the scope, and count the request.

        Raises:
            PaymentsError: it may not pass.
        """
        if access is None or access.scope is None:
            raise Forbidden("This route does not say who may call it")
        address = client_address(scope, proxies=self._proxies)
        identify = partial(self._access.identify, sole_header(scope, b"authorization"), scope=access.scope)
        caller = await identify()
        if access.waits:
            scope["identify_again"] = identify
        scope["key_id"] = caller.key_id
        scope["principal"], scope["keyed"], scope["client_address"] = caller.principal, bool(caller.key_id), address
        kind, subject = ("key", caller.principal) if caller.key_id else ("address", address)
        counted = self._waiting if access.waits else self._in_flight
        until_answered.enter_context(counted.one(kind, subject))
        decision = scope["decision"] = await self._decide(caller, address, reading=scope["method"] in _READING)
        if decision is not None and not decision.allowed:
            raise TooManyRequests(
                f"At most {decision.limit} requests in any minute ({decision.name}); try again later",
                retry_after=decision.reset_seconds,
            )
        return decision

    async def _decide(self, caller: Identity, address: str, *, reading: bool) -> Decision | None:
        """Count the request; None when no limit is set."""
        rule = self._rule(caller, address)
        if not rule.limit:
            return None
        decision = await (self._leases.check((rule,)) if reading else self._limiter.check(rule))
        (_ALLOWED if decision.allowed else _REFUSED).inc()
        return decision

    def _rule(self, caller: Identity, address: str) -> Rule:
        if caller.key_id is None:
            return Rule("address", address, self._settings.address_limit_per_minute)
        return Rule("key", caller.key_id, self._settings.key_limit_per_minute)

    def _marking(self, send: Send, decision: Decision | None) -> Send:
        """Add the RateLimit headers to the answer."""
        if decision is None:
            return send
        if self._headers[0] is not decision:
            self._headers = (decision, limit_headers(decision))
        marks = self._headers[1]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                told = any(name.lower() == b"ratelimit" for name, _ in headers)  # of the limit that refuses
                message["headers"] = headers if told else [*headers, *marks]
            await send(message)

        return sending
