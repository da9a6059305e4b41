"""The admin port: metrics, probes, drain, and what the operator asks. Never behind the Ingress."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from payment_service.config.secrets import fingerprint
from payment_service.errors import BadRequest, Forbidden, PaymentsError, RouteNotFound, Unauthorized
from payment_service.health.routes import HEALTH_PATH, health_routes
from payment_service.health.service import VERSION
from payment_service.http.addresses import parse_address
from payment_service.http.admin_token import derived_token
from payment_service.http.body import LIMITS
from payment_service.http.paths import check_path
from payment_service.http.responses import read_body, refuse_websocket, respond, respond_problem, sole_header
from payment_service.http.route_access import ADMIN, CREATES_NOTHING, PlainRoute, PlainRoutes
from payment_service.http.scope import is_http, noted
from payment_service.http.strict_json import NotStrictJson, decode
from payment_service.ratelimit.in_flight import InFlight
from payment_service.storage.database import is_unavailable
from payment_service.stripe_api.gateway import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from litestar.types import ASGIApp, Receive, Scope, Send

    from payment_service.access.needs import KeyNeeds
    from payment_service.config.settings import Settings
    from payment_service.health.service import Health
    from payment_service.http.drain import DrainState
    from payment_service.http.route_access import Access

MAXIMUM_BODY_BYTES: Final = 4096
T = TypeVar("T")


class DrainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PUT /drain; `stopping` says that the process is about to end: readiness fails too, for good."""

    drain: bool
    stopping: bool = False


class ClaimRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PUT /worker."""

    claim: bool


class Claimer(Protocol):
    """A worker."""

    claiming: bool

    def set_claiming(self, *, claim: bool) -> None:
        """Claim from now on, or no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the admin port tells of, and what it changes."""

    settings: Settings
    health: Health
    drain: DrainState
    needs: KeyNeeds
    verified: Mapping[str, int]
    """How many events each signing secret has verified, by fingerprint."""
    worker: Claimer | None
    """None in an API process."""


def admin_app(sources: Sources) -> ASGIApp:
    """Return the ASGI application of the admin port."""
    in_flight = InFlight(sources.settings.callers.requests_in_flight)
    guard = partial(_with_token, sources.settings, in_flight)
    return AdminPort(PlainRoutes(admin_routes(sources), guard=guard))


class AdminPort:
    """Answers what is in its table; paths are refused as on the API port."""

    def __init__(self, routes: PlainRoutes) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not is_http(scope):
            await refuse_websocket(receive, send)
            return
        try:
            check_path(scope)
            answer = self.routes.find(noted(scope))
            if answer is None:
                raise RouteNotFound
            await answer(scope, receive, send)
        except PaymentsError as error:
            await respond_problem(send, error, request_id=None)


def admin_routes(sources: Sources) -> list[PlainRoute]:
    """Return the routes; `ADMIN` asks for the admin token here."""
    switch = sources.drain

    async def drain(request: DrainRequest) -> dict[str, object]:
        if not request.stopping:
            switch.drain(on=request.drain)
            return {"draining": switch.closing_connections}
        switch.stop()
        return {"draining": True, "seconds": round(switch.remaining(sources.settings.http.drain_seconds), 3)}

    routes = [
        *(route for route in health_routes(sources.health) if route.path != HEALTH_PATH),
        _changing("/drain", drain, DrainRequest),
        _telling("/status", partial(status, sources), access=ADMIN),
    ]
    return [*routes, _claim_route(sources.worker)] if sources.worker else routes


def _claim_route(worker: Claimer) -> PlainRoute:
    async def claim(request: ClaimRequest) -> dict[str, object]:
        worker.set_claiming(claim=request.claim)
        return {"claiming": worker.claiming}

    return _changing("/worker", claim, ClaimRequest)


def _telling(path: str, work: Callable[[], Awaitable[dict[str, object]]], *, access: Access) -> PlainRoute:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        await respond(send, 200, msgspec.json.encode(await work()))

    return PlainRoute(path=path, methods=("GET",), answer=answer, access=access)


def _changing(path: str, work: Callable[[T], Awaitable[dict[str, object]]], kind: type[T]) -> PlainRoute:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        request = _decode(await read_body(receive, limit=MAXIMUM_BODY_BYTES), kind)
        await respond(send, 200, msgspec.json.encode(await work(request)))

    return PlainRoute(path=path, methods=("PUT",), answer=answer, access=ADMIN.uncounted(CREATES_NOTHING))


def _with_token(settings: Settings, in_flight: InFlight, answer: ASGIApp, access: Access) -> ASGIApp:  # noqa: ARG001 - one token, one scope
    """Ask for the token; all share it, so each route has a bound of its own: no crowd keeps a pod from draining."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        _authorize(settings, scope)
        with in_flight.one("admin", scope["path_template"]):
            await answer(scope, receive, send)

    return guarded


def _authorize(settings: Settings, scope: Scope) -> None:
    """Ask for the token; where there is none, in development only, the caller must be on this machine."""
    tokens = _tokens(settings)
    given = (sole_header(scope, b"authorization") or "").removeprefix("Bearer ").encode()
    if tokens and not any(hmac.compare_digest(given, token.encode()) for token in tokens):
        raise Unauthorized("Send the admin token: Authorization: Bearer …")
    if not tokens and (settings.production or not _from_this_machine(scope)):
        raise Forbidden("Set PAYMENTS_ADMIN_TOKEN, and send it, to use this")


def _from_this_machine(scope: Scope) -> bool:
    address = parse_address((scope.get("client") or ("",))[0])
    return address is not None and address.is_loopback


def _tokens(settings: Settings) -> list[str]:
    if token := settings.http.admin_token.reveal():
        return [token]
    return [derived_token(key) for key in settings.secret_key.parts()] if settings.production else []


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.convert(decode(body, limits=LIMITS), type=kind)
    except (NotStrictJson, msgspec.ValidationError) as error:
        raise BadRequest(str(error)) from error


async def status(sources: Sources) -> dict[str, object]:
    """Return build, schema, drain state and the salted fingerprints of the secrets in use (docs/contracts.md)."""
    support, settings = await sources.health.schema(), sources.settings
    salt = settings.fingerprint_salt
    answer: dict[str, object] = {
        "build": {"version": VERSION, "revision": settings.revision, "stripe_api_version": API_VERSION},
        "schema": {
            "application": support.application if support else None,
            "database": support.database if support else None,
            "supported": support is not None and support.supported,
        },
        "draining": sources.drain.closing_connections,
        "recovering": await sources.health.recovering(),
        "secrets": {
            "stripe_secret_key": [fingerprint(settings.stripe.secret_key.reveal(), salt=salt)],
            "stripe_webhook_secret": [
                fingerprint(secret, salt=salt) for secret in settings.stripe.webhook_secret.parts()
            ],
            "secret_key": sources.needs.fingerprints(),
        },
        "secret_keys": await _secret_keys(sources),
    }
    if sources.worker is not None:
        answer["worker"] = {"claiming": sources.worker.claiming}
    else:
        answer["webhooks_verified"] = dict(sources.verified)
    return answer


async def _secret_keys(sources: Sources) -> Mapping[str, object] | None:
    """Return which values of SECRET_KEY the API keys need; None in a worker, and while the database cannot tell."""
    if not sources.settings.secret_key:
        return None
    try:
        return await sources.needs.report()
    except Exception as error:
        if not is_unavailable(error):
            raise
        return None
