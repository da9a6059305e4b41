"""What every mutating route reads from its request, and how its stored answer is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Response

from payment_service.idempotency.schemas import IdempotencyKey, StoredResponse, fingerprint, parse_key

if TYPE_CHECKING:
    from litestar import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and what a mutating request carries beside its body."""

    principal: str
    request_id: str
    livemode: bool
    method: str
    route: str
    path_params: dict[str, str]
    header: str | None
    key_required: bool

    def key(self, body: object) -> IdempotencyKey | None:
        """Return the idempotency key bound to this principal, route and body; None without the header.

        Raises:
            BadRequest: the header is malformed, or missing although required.
        """
        key = parse_key(self.header, required=self.key_required)
        if key is None:
            return None
        return IdempotencyKey(
            principal=self.principal,
            livemode=self.livemode,
            method=self.method,
            route=self.route,
            key=key,
            fingerprint=fingerprint(msgspec.to_builtins(body), path=self.path_params),
        )


def read_caller(request: Request[Any, Any, Any], *, principal: str, livemode: bool, key_required: bool) -> Caller:
    """Read the caller of a request."""
    return Caller(
        principal=principal,
        request_id=request.scope["request_id"],  # type: ignore[typeddict-item] # set by the gate
        livemode=livemode,
        method=request.method,
        route=request.scope["path_template"],
        path_params={name: str(value) for name, value in request.path_params.items()},
        header=request.headers.get("idempotency-key"),
        key_required=key_required,
    )


def to_response(stored: StoredResponse) -> Response[bytes]:
    """Send a stored answer as it was given; a replay says so, as Stripe's does."""
    headers = {"Idempotent-Replayed": "true"} if stored.replayed else {}
    return Response(stored.body, status_code=stored.status, media_type=stored.content_type, headers=headers)
