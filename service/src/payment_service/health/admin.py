"""The admin port: metrics, probes, drain, and what the operator asks. Never behind the Ingress."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from payment_service.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound, PaymentsError, Unauthorized
from payment_service.health.routes import health_routes
from payment_service.health.service import VERSION
from payment_service.platform.responses import header, read_body, respond, respond_problem
from payment_service.platform.secrets import fingerprint
from payment_service.platform.stripe_gateway import API_VERSION

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Send

    from payment_service.app import Parts

MAXIMUM_BODY_BYTES: Final = 4096
T = TypeVar("T")


class DrainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PUT /drain."""

    drain: bool


class ClaimRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of PUT /worker."""

    claim: bool


def admin_app(parts: Parts, *, worker: bool) -> ASGIApp:
    """Return the ASGI application of the admin port, of an API or of a worker process."""
    routes: dict[str, ASGIApp] = health_routes(parts.health)
    routes.pop("/health")

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if route := routes.get(scope["path"]):
                await route(scope, receive, send)
            else:
                status, body = await _answer(parts, scope, receive, worker=worker)
                await respond(send, status, msgspec.json.encode(body))
        except PaymentsError as error:
            await respond_problem(send, error, request_id=None)

    return application


async def _answer(parts: Parts, scope: Any, receive: Receive, *, worker: bool) -> tuple[int, dict[str, Any]]:
    method, path = scope["method"], scope["path"]
    if (method, path) == ("GET", "/drain"):
        parts.drain.stop()
        await asyncio.sleep(parts.settings.http.drain_seconds)
        return 200, {"draining": True}
    if path not in {"/drain", "/worker", "/status"} or (path == "/worker" and not worker):
        raise NotFound
    if method != ("GET" if path == "/status" else "PUT"):
        raise MethodNotAllowed
    _authorize(parts, scope)
    if path == "/status":
        return 200, await status(parts, worker=worker)
    body = await read_body(receive, limit=MAXIMUM_BODY_BYTES)
    if path == "/drain":
        parts.drain.drain(on=_decode(body, DrainRequest).drain)
        return 200, {"draining": parts.drain.closing_connections}
    parts.worker.claiming = _decode(body, ClaimRequest).claim
    parts.worker.wake()
    return 200, {"claiming": parts.worker.claiming}


def _authorize(parts: Parts, scope: Any) -> None:
    token = parts.settings.http.admin_token.reveal()
    if not token and parts.settings.production:
        raise Forbidden("Set PAYMENTS_ADMIN_TOKEN, and send it, to use this in production")
    given = (header(scope, b"authorization") or "").removeprefix("Bearer ")
    if token and not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthorized("Send the admin token: Authorization: Bearer …")


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(str(error)) from error


async def status(parts: Parts, *, worker: bool) -> dict[str, Any]:
    """Return build, schema, drain state and the salted fingerprints of the secrets in use."""
    support = await parts.health.schema()
    salt = parts.settings.fingerprint_salt
    answer: dict[str, Any] = {
        "build": {"version": VERSION, "revision": parts.settings.revision, "stripe_api_version": API_VERSION},
        "schema": {
            "application": support.application if support else None,
            "database": support.database if support else None,
            "supported": support is not None and support.supported,
        },
        "draining": parts.drain.closing_connections,
        "secrets": {
            "stripe_secret_key": [fingerprint(parts.settings.stripe.secret_key.reveal(), salt=salt)],
            "stripe_webhook_secret": [
                fingerprint(secret, salt=salt) for secret in parts.settings.stripe.webhook_secret.parts()
            ],
        },
    }
    if worker:
        answer["worker"] = {"claiming": parts.worker.claiming}
    else:
        answer["webhooks_verified"] = dict(parts.inbox.verified)
    return answer
