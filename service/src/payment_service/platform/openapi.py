"""What all operations share in the OpenAPI document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, QueryParameter

from payment_service.errors import BadRequest
from payment_service.platform.moments import check_moment
from payment_service.problems import CONTENT_TYPE


class FieldError(msgspec.Struct, kw_only=True):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(msgspec.Struct, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Stable: programs decide by it."""
    request_id: str | None
    errors: list[FieldError] | None = None
    """Each bad field of the request."""


_TITLES: Final = {
    400: "The request cannot be understood",
    401: "A valid API key is required",
    402: "The payment was declined",
    403: "The API key lacks the scope",
    404: "Not found",
    409: "The request contradicts the present state",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "Fields of the request are invalid",
    429: "A rate limit is reached: see Retry-After",
    502: "Stripe refuses the server's API key",
    503: "Stripe or the database cannot be reached: see Retry-After",
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


READING: Final = (400, 401, 403, 429, 503)
WRITING: Final = (400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504)

ADMIN_WRITING: Final = (400, 401, 403, 413, 415, 422, 429, 503)
"""Of routes that change nothing at Stripe."""

IdempotencyKeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="Makes it safe to send the request again: the same key and body give the same answer, once.",
        required=False,
        min_length=1,
        max_length=255,
        examples=[Example(value="4f2c3f0e-9c1b-4a55-9d3b-2f1c6d0f8a11")],
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many to return.")]
StartingAfter = Annotated[
    str | None, QueryParameter(description="The id of the last object of the page before.", max_length=255)
]
Since = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
        description="Since this moment (RFC 3339), for example 2026-01-31T12:00:00Z.",
        max_length=40,
    ),
]


def parse_since(text: str | None) -> datetime | None:
    """Return the moment of the query parameter `since`.

    Raises:
        BadRequest: there is no such moment.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        check_moment(moment, field="since")
    except ValueError as error:
        message = "give a moment between 2010 and 2200, for example 2026-01-31T12:00:00Z"
        raise BadRequest(f"since: {message}", errors=[{"field": "since", "message": message}]) from error
    return moment.astimezone(UTC)
