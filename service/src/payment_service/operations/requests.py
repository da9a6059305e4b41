"""What every mutating route reads from its request, and how its stored answer is sent."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from litestar import Response

from payment_service.errors import BadRequest, IdempotencyKeyRequired
from payment_service.http.addresses import counted_as, parse_address
from payment_service.http.scope import noted
from payment_service.operations.schemas import IdempotencyKey, StoredResponse
from payment_service.storage.audit_log import api_actor
from payment_service.stripe_api.reads import Asker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Request
    from litestar.datastructures import State

END_USER_HEADER: Final = "X-FAPI-Customer-IP-Address"
MAXIMUM_KEY_CHARACTERS: Final = 255
"""As Stripe's own (docs.stripe.com/api/idempotent_requests)."""


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
    keyed: bool
    """Whether it came with an API key."""
    address: str
    """What its client's address is counted under."""
    limit: str
    """The name of the limit that its handler declares; empty: none."""
    end_user: str | None
    """The header with the end user's address, as it came."""

    @property
    def actor(self) -> str:
        """Who asks, for the audit log."""
        return api_actor(self.principal)

    @property
    def asker(self) -> Asker:
        """For whom a question to Stripe counts: the key's principal, or without a key the client's address."""
        return Asker("key", self.principal) if self.keyed else Asker("address", self.address)

    def end_user_address(self) -> str | None:
        """Return what the end user's address is counted under; None without the header.

        Raises:
            BadRequest: the header holds no IP address.
        """
        if self.end_user is None:
            return None
        address = parse_address(self.end_user.strip())
        if address is None:
            message = "needs an IP address, for example 198.51.100.119 or 2001:db8::1"
            error = {"field": END_USER_HEADER, "message": message}
            raise BadRequest(f"{END_USER_HEADER}: {message}", errors=[error])
        return counted_as(address)


def read_caller(
    request: Request[object, object, State], *, principal: str, livemode: bool, key_required: bool
) -> Caller:
    """Read the caller of a request."""
    scope = noted(request.scope)  # with what the gate and Admission have set
    access = scope["access"]
    return Caller(
        principal=principal,
        request_id=scope["request_id"],
        livemode=livemode,
        method=request.method,
        route=scope["path_template"],
        path_params={name: str(value) for name, value in request.path_params.items()},
        header=request.headers.get("idempotency-key"),
        key_required=key_required,
        keyed=scope["keyed"],
        address=scope["client_address"],
        limit=access.limit if access else "",
        end_user=request.headers.get(END_USER_HEADER),
    )


def bind_key(caller: Caller, body: object) -> IdempotencyKey | None:
    """Return the caller's idempotency key, bound to its principal, the route and the body; None without the header.

    Raises:
        BadRequest: the header is malformed, or missing although required.
    """
    key = parse_key(caller.header, required=caller.key_required)
    if key is None:
        return None
    return IdempotencyKey(
        principal=caller.principal,
        livemode=caller.livemode,
        method=caller.method,
        route=caller.route,
        key=key,
        fingerprint=fingerprint(msgspec.to_builtins(body), path=caller.path_params),
    )


def fingerprint(body: object, *, path: Mapping[str, str]) -> bytes:
    """Return the SHA-256 of the canonical request: keys sorted, path parameters included.

    Members with their default are left out (`omit_defaults` of the request types), so that a version that knows one
    more of them takes a retry of a request that an older version began for the same request.
    """
    return hashlib.sha256(msgspec.json.encode([body, dict(path)], order="sorted")).digest()


def parse_key(header: str | None, *, required: bool) -> str | None:
    """Check the `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-07; quotes are optional).

    Raises:
        IdempotencyKeyRequired: it is missing although the server requires it.
        BadRequest: it is empty, too long or not printable ASCII.
    """
    if header is None:
        if required:
            raise IdempotencyKeyRequired("Send an Idempotency-Key header, for example a UUID, with this request")
        return None
    key = header.strip().removeprefix('"').removesuffix('"')
    if not 0 < len(key) <= MAXIMUM_KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        raise BadRequest(f"Idempotency-Key: needs 1 to {MAXIMUM_KEY_CHARACTERS} printable ASCII characters")
    return key


def to_response(stored: StoredResponse) -> Response[bytes]:
    """Send a stored answer as it was given; a replay says so, as Stripe's does."""
    headers = {"Idempotent-Replayed": "true"} if stored.replayed else {}
    if stored.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(stored.retry_after)))
    return Response(stored.body, status_code=stored.status, media_type=stored.content_type, headers=headers)
