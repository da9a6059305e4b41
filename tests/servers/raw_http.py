"""Requests written byte by byte, as no honest client would send them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import quote

Fields = list[tuple[bytes, bytes]]


class Raw(NamedTuple):
    """One request."""

    method: str
    target: str
    """In ASCII, already encoded."""
    fields: Fields
    body: bytes = b""


def encoded(value: str) -> str:
    """Return any text percent-encoded, halves of surrogate pairs too."""
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


async def send(port: int, request: Raw, *, seconds: float = 60.0) -> tuple[int, bytes]:
    """Send on a connection of its own; return the status and the whole answer. 0: closed without one."""
    fields = [(b"Host", b"api"), (b"Connection", b"close"), *request.fields]
    if request.body or request.method not in {"GET", "HEAD"}:
        fields.append((b"Content-Length", b"%d" % len(request.body)))
    head = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"{request.method} {request.target} HTTP/1.1\r\n".encode() + head + b"\r\n" + request.body)
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        finally:
            writer.close()
    return (int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0), answer
