"""RFC 9457 problem details: the one place that turns errors into answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.observability.redaction import redact, redact_value

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:lean-payments:problem:"


def problem_document(error: PaymentsError, *, request_id: str | None) -> dict[str, object]:
    """Return the problem document of `error`; `code` is stable, `detail` is for people.

    It may quote Stripe, the database or the caller: neither secrets nor addresses of people come along.
    """
    document: dict[str, object] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "detail": redact(error.detail),
        "code": error.code,
        "request_id": request_id,
    }
    extra = {name: value for name, value in error.extra.items() if value is not None}
    clean: dict[str, object] = redact_value(msgspec.to_builtins(extra))
    return document | clean


def problem_headers(error: PaymentsError) -> dict[str, str]:
    """Return the headers that go with `error`: `Retry-After` in whole seconds (RFC 9110, section 10.2.3)."""
    headers = {"content-type": CONTENT_TYPE, **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == 401:  # noqa: PLR2004 - RFC 9110, section 11.6.1 asks for the challenge
        headers["www-authenticate"] = "Bearer"
    if "allow" in error.extra:
        headers["allow"] = error.extra["allow"]
    return headers


def problem_body(error: PaymentsError, *, request_id: str | None) -> bytes:
    """Return the encoded problem document."""
    return msgspec.json.encode(problem_document(error, request_id=request_id))
