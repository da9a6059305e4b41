"""Answers of plain ASGI routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.errors import BadRequest, PayloadTooLarge
from payment_service.http.problems import problem_body, problem_headers

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

    from payment_service.errors import PaymentsError


async def respond(send: Send, status: int, body: bytes, *, content_type: bytes = b"application/json") -> None:
    """Send a whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def respond_problem(send: Send, error: PaymentsError, *, request_id: str | None) -> None:
    """Send a problem document."""
    body = problem_body(error, request_id=request_id)
    headers = [(name.encode(), value.encode()) for name, value in problem_headers(error).items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """Close before accepting: the server answers 403 (ASGI specification, "Close - send event")."""
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": None})


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """Read a whole body of at most `limit` bytes.

    Raises:
        PayloadTooLarge: it is longer; the rest is not read.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":  # the client has gone
            return b"".join(chunks)
        chunk = message["body"]
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"The body is larger than {limit} bytes")
        chunks.append(chunk)
        if not message["more_body"]:
            return b"".join(chunks)


def header(scope: Scope, name: bytes) -> str | None:
    """Return a request header as text."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


def sole_header(scope: Scope, name: bytes) -> str | None:
    """Return a request header that decides who is let in: of two, a proxy before us may have checked the other one.

    Raises:
        BadRequest: it is sent twice (RFC 9110, section 5.3: only lists may be).
    """
    if sum(key == name for key, _ in scope["headers"]) > 1:
        raise BadRequest(f"{name.decode().title()}: is sent twice; send it once")
    return header(scope, name)
