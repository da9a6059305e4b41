"""Who may call a route, said where the route is defined; the decision is made on the handler that matched.

A Litestar handler says it by `access=…` in its decorator, a plain ASGI route in the table that registers it. What acts
is what decides: no text of a path is compared, so there is no other spelling of one that gets past. A route that says
nothing keeps the process from starting. So does one that changes something and does not say which limit counts what it
begins (`Access.counted`), or why none does (`Access.uncounted`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from payment_service.errors import MethodNotAllowed
from payment_service.http.responses import respond_problem
from payment_service.http.scope import noted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from litestar import Litestar
    from litestar.handlers import BaseRouteHandler
    from litestar.types import ASGIApp, Receive, Send
    from litestar.types import Scope as AnyScope

    from payment_service.http.scope import RequestScope

Scope = Literal["events:read", "read", "endpoints:write", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("events:read", "read", "endpoints:write", "write", "admin")
"""Each includes the ones before it."""
Audience = Literal["clients", "browsers", "machines"]
"""Who reads the answers, which decides their security headers: programs of customers, people's browsers with pages,
or probes, scrapers and Stripe, which look at none."""
OPT: Final = "access"
"""The name under which a Litestar handler carries its declaration."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class UndeclaredRoute(Exception):
    """A route says not who may call it, or not what counts that it changes something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a route declares."""

    scope: Scope | None
    """That an API key needs (on the admin port: the admin token); None: anybody may call."""
    reason: str = ""
    """Why anybody may."""
    audience: Audience = "clients"
    waits: bool = False
    """Whether its answers may last as long as the caller likes: they are counted apart from the caller's requests."""
    limit: str = ""
    """The name of the exact limit that counts what this route begins, see `payments/limits.py`; empty: none does."""
    no_limit: str = ""
    """Why none does, where the route changes something: the general limits of requests are enough for it."""

    def counted(self, limit: str) -> Access:
        """Return the declaration of a route that begins what a limit counts, for its handler to ask."""
        return replace(self, limit=limit)

    def uncounted(self, reason: str) -> Access:
        """Return the declaration of a route that changes something and is counted by the general limits alone."""
        return replace(self, no_limit=reason)


EVENTS: Final = Access(scope="events:read", waits=True)
READ: Final = Access(scope="read")
ENDPOINTS: Final = Access(scope="endpoints:write")
WRITE: Final = Access(scope="write")
ADMIN: Final = Access(scope="admin")
CREATE_LIMIT: Final = "create"
SETUP_LIMIT: Final = "setup_intent"
CHANGE_LIMIT: Final = "change"
CHANGES_NOTHING: Final = "it changes nothing, and what it asks of Stripe counts for the caller"
CREATES_NOTHING: Final = "it creates nothing at Stripe and tries no card"


def public(reason: str, *, audience: Audience) -> Access:
    """Return the declaration of a route that needs no key.

    Raises:
        ValueError: without a reason.
    """
    if not reason:
        raise ValueError("a public route says why it is public")
    return Access(scope=None, reason=reason, audience=audience)


def declared(handler: BaseRouteHandler) -> Access | None:
    """Return what a Litestar handler declares; None: nothing."""
    access = handler.opt.get(OPT)
    return access if isinstance(access, Access) else None


def check_declared(app: Litestar) -> None:
    """Hold every route of an application to the rule.

    Litestar adds an OPTIONS handler to each route, which tells the methods: who may call one of them may ask.

    Raises:
        UndeclaredRoute: naming the route.
    """
    for route in app.routes:
        handlers = list(getattr(route, "route_handlers", ())) or [getattr(route, "route_handler", None)]
        made = [handler for handler in handlers if _is_made_by_litestar(handler)]
        said = [_required(route.path, handler) for handler in handlers if handler not in made]
        for handler in made:
            handler.opt.setdefault(OPT, min(said, key=_demand))


def _is_made_by_litestar(handler: BaseRouteHandler) -> bool:
    return bool(handler.fn.__module__ == "litestar.routes.http")


def _required(path: str, handler: BaseRouteHandler) -> Access:
    access = declared(handler)
    if access is None or not hasattr(handler, "http_methods"):
        what = f"{', '.join(sorted(getattr(handler, 'http_methods', ('connections',))))} {path}"
        raise UndeclaredRoute(f"{what} ({handler.handler_name}): say who may call it, access=READ in its decorator")
    _check_limit(path, handler.http_methods, access)
    return access


def _check_limit(path: str, methods: Collection[str], access: Access) -> None:
    """Hold a route that changes something to saying what counts it, or why nothing does; never both."""
    changing = sorted({str(method) for method in methods} - _READING)
    if changing and bool(access.limit) == bool(access.no_limit):
        raise UndeclaredRoute(
            f"{', '.join(changing)} {path}: say which limit counts what it begins, access=WRITE.counted(…), "
            "or why none does, access=WRITE.uncounted(…)"
        )


def _demand(access: Access) -> int:
    return -1 if access.scope is None else SCOPES.index(access.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRoute:
    """A plain ASGI callable at one exact path: what must be fast, or stands on the admin port."""

    path: str
    methods: tuple[str, ...]
    answer: ASGIApp
    access: Access


class PlainRoutes:
    """The plain routes of a port, found by one look-up of the path and one of the method.

    Args:
        routes: all of them.
        guard: wraps the callable of a route that is not public in what lets its callers in.

    Raises:
        UndeclaredRoute: one says not who may call it, or not what counts it.
    """

    def __init__(self, routes: Iterable[PlainRoute], *, guard: Callable[[ASGIApp, Access], ASGIApp]) -> None:
        self.declared = tuple(routes)
        self._paths: dict[str, dict[str, tuple[ASGIApp, Access]]] = {}
        for route in self.declared:
            if not isinstance(route.access, Access):
                raise UndeclaredRoute(f"{', '.join(route.methods)} {route.path}: say who may call it")
            _check_limit(route.path, route.methods, route.access)
            answer = route.answer if route.access.scope is None else guard(route.answer, route.access)
            methods = self._paths.setdefault(route.path, {})
            methods.update(dict.fromkeys(route.methods, (answer, route.access)))

    def find(self, scope: RequestScope) -> ASGIApp | None:
        """Return what answers, and note in `scope` what matched; None: there is no such path here."""
        methods = self._paths.get(scope["path"])
        if methods is None:
            return None
        scope["path_template"] = scope["path"]
        found = methods.get(scope["method"])
        if found is None:
            return _other_method(methods)
        answer, scope["access"] = found
        return answer


def _other_method(methods: Iterable[str]) -> ASGIApp:
    """Answer as RFC 9110, section 15.5.6 asks."""
    allowed = ", ".join(sorted(methods))

    async def answer(scope: AnyScope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        error = MethodNotAllowed(f"Use {allowed}", allow=allowed)
        await respond_problem(send, error, request_id=noted(scope).get("request_id"))

    return answer
