"""What is wrong with a request's head, and the answer to a request that no application sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from payment_service.errors import BadRequest, HeadTooLarge, PaymentsError, UriTooLong
from payment_service.http.problems import problem_body, problem_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from payment_service.http.door.limits import DoorSettings

Refusal = tuple[PaymentsError, str]
"""What the client is told, and the reason that is counted."""
Fields = list[tuple[bytes, bytes]]


def too_large(url: bytes, *, limit: int) -> Refusal:
    """Return the refusal of a head that is longer than `limit` bytes."""
    if len(url) > limit // 2:
        return UriTooLong(f"The path and query with the header fields are longer than {limit} bytes"), "head_size"
    return HeadTooLarge(f"The request line and header fields are longer than {limit} bytes"), "head_size"


def size_fault(url: bytes, fields: Fields, *, limits: DoorSettings) -> Refusal | None:
    """Return what is wrong with the size of a whole head that came in parts."""
    size = len(url) + sum(len(name) + len(value) + 4 for name, value in fields)
    return too_large(url, limit=limits.head_bytes) if size > limits.head_bytes else None


def version_fault(version: str, fields: Fields, *, hosts: int) -> Refusal | None:
    """Return what RFC 9112 calls faulty in a head that is not HTTP/1.1 with one Host, and that the parser let pass."""
    fault = None
    if hosts > 1 or (version == "1.1" and not hosts):
        fault = "Send one Host header (RFC 9112, section 3.2)"
    elif version not in {"1.1", "1.0", "0.9"}:
        fault = f"HTTP/{version} is not spoken here; use HTTP/1.1"
    elif version != "1.1" and any(name == b"transfer-encoding" for name, _ in fields):
        fault = f"HTTP/{version} has no Transfer-Encoding (RFC 9112, section 6.1)"
    return (BadRequest(fault), "malformed") if fault else None


def closing_answer(error: PaymentsError, *, defaults: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a whole problem document as bytes, the last thing on its connection."""
    body = problem_body(error, request_id=None)
    headers = {**problem_headers(error), "content-length": str(len(body)), "connection": "close"}
    lines = [b"%s: %s\r\n" % (name, value) for name, value in defaults]
    lines += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
    return b"".join((STATUS_LINE[error.status], *lines, b"\r\n", body))
