"""What all operations share in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter

from payment_service.http.problems import CONTENT_TYPE


class FieldError(msgspec.Struct, kw_only=True):
    """What is wrong with one field."""

    field: str
    """Its name; of a nested one the path, by dots."""
    message: str
    """What is wrong and what to send instead."""


class Problem(msgspec.Struct, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    """URN of the kind of problem."""
    title: str
    """The kind in words."""
    status: int
    """HTTP status."""
    detail: str
    """One sentence for a person: what is wrong and what to do."""
    code: str
    """Stable: programs decide by it."""
    request_id: str | None
    """Of the request, as in the server's log; null where it has none."""
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    """Each bad field of the request."""


_TITLES: Final = {
    400: "The request cannot be understood",
    401: "A valid API key is required",
    402: "The payment was declined",
    403: "The API key lacks the scope",
    404: "Not found",
    409: "The request contradicts the present state",
    410: "What was to follow is no longer kept",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "Fields of the request are invalid",
    429: "A rate limit is reached: see Retry-After",
    502: "Stripe refuses the server's API key",
    503: "Stripe or the database cannot be reached, or the database was restored: see Retry-After",
    504: "Stripe did not answer in time; the operation is completed later",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the documented problem answers of a route."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_TITLES[status],
            media_type=CONTENT_TYPE,
            generate_examples=False,
        )
        for status in statuses
    }


READING: Final = (400, 401, 403, 422, 429, 503)
WRITING: Final = (400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504)

ADMIN_WRITING: Final = (400, 401, 403, 413, 415, 422, 429, 503)
"""Of routes that change nothing at Stripe."""

EndUserAddressHeader = Annotated[
    str | None,
    HeaderParameter(
        name="X-FAPI-Customer-IP-Address",
        description="The IP address of the person who pays or saves a card, if present: limits declined cards of that "
        "address. It is counted as a hash for an hour, an IPv6 address by its /64, and neither stored nor logged. For "
        "example `198.51.100.119`.",
        required=False,
        max_length=64,
    ),
]
"""The header's name is that of the OpenID Foundation's FAPI 1.0 Baseline profile, section 6.2.2. A header, because the
address is no part of what is asked: the same request tried again from another network is the same request."""
IdempotencyKeyHeader = Annotated[  # no example: the page would send the same key with every request that is tried
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Makes it safe to send the request again: the same key and body give the same answer, once. A new "
        "UUID for each request, for example.",
        required=False,
        min_length=1,
        max_length=255,
    ),
]
