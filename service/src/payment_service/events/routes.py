"""The webhook route: a plain ASGI callable, the busiest one of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from payment_service.errors import PaymentsError, ServiceUnavailable
from payment_service.http.responses import read_body, respond, respond_problem, sole_header
from payment_service.http.route_access import PlainRoute, public
from payment_service.http.scope import noted
from payment_service.observability.metrics import DATABASE_ERRORS, WEBHOOKS_RECEIVED
from payment_service.storage.database import is_unavailable

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

    from payment_service.events.service import Inbox

PATH: Final = "/api/v1/webhooks/stripe"
SIGNED: Final = public(
    "Stripe carries no key: the signature over the body says who sends", audience="machines"
).uncounted("no event is refused because there are many")
MAXIMUM_BYTES: Final = 512 * 1024
_RECEIVED: Final = b'{"received":true}'

log = structlog.get_logger("payments")


def webhook_route(inbox: Inbox) -> PlainRoute:
    """Return the route: 200 only after the commit, 400 unverified, 503 while the database is away."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        request = noted(scope)
        try:
            body = await read_body(receive, limit=MAXIMUM_BYTES)
            await inbox.receive(body, sole_header(scope, b"stripe-signature"))
        except PaymentsError as error:
            await respond_problem(send, error, request_id=request.get("request_id"))
        except Exception as error:
            if not is_unavailable(error):
                raise
            DATABASE_ERRORS.labels("webhook").inc()
            WEBHOOKS_RECEIVED.labels("unavailable").inc()
            log.warning("webhook_database_unavailable", error=type(error).__name__)
            refusal = ServiceUnavailable("The database cannot be reached; deliver the event again", retry_after=5)
            await respond_problem(send, refusal, request_id=request.get("request_id"))
        else:
            request["admitted"] = True
            await respond(send, 200, _RECEIVED)

    return PlainRoute(path=PATH, methods=("POST",), answer=route, access=SIGNED)
