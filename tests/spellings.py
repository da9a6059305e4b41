"""Every route of both ports in every spelling, and a client that sends them as they are written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from litestar import Litestar

    from payment_service.http.route_access import Access, PlainRoutes

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")
CONNECTIONS = 8
BETWEEN = ("//", "///", "/./", "/x/../", "/%2e/", "/x/%2e%2E/", "/x/.%2e/", "/..;/", "/%2F", "/%2f/", "/%5c")
INSTEAD = ("%2f", "%2F", "%5C", "\\", "/%00/", "%0d%0a/", "/%c0%af")
AT_THE_END = ("/", "//", "/.", "/..", "/%2e", "%2F", "%5c", "%00", "%20%7f", "%ff", "%")


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path, and who may call it."""

    method: str
    template: str
    access: Access


def of_litestar(api: Litestar) -> Iterator[Route]:
    """Every method of every route, those that Litestar adds included."""
    for route in api.routes:
        for method, (handler, _) in route.route_handler_map.items():  # type: ignore[union-attr] # nothing else starts
            yield Route(method=method, template=route.path_format, access=handler.opt["access"])


def of_table(routes: PlainRoutes) -> Iterator[Route]:
    """Every method of every plain route."""
    for route in routes.declared:
        for method in route.methods:
            yield Route(method=method, template=route.path, access=route.access)


def of_api(gate: Any) -> list[Route]:
    """Every method of every route of the API port."""
    application = gate.application
    while hasattr(application, "_application"):  # the layers around the API
        application = application._application
    return [*of_litestar(application.api), *of_table(gate.routes)]


def of_admin(port: Any) -> list[Route]:
    """Every method of every route of the admin port."""
    return list(of_table(port.routes))


def refused_spellings(path: str) -> Iterator[str]:
    """Spellings that are no path of ours, whoever asks."""
    segments = path.split("/")[1:]
    for at in range(len(segments)):
        front, rest = "/".join(["", *segments[:at]]), "/".join(segments[at:])
        for between in (
            "//",
            "///",
            "/./",
            "/x/../",
            "/%2e/",
            "/x/%2e%2E/",
            "/x/.%2e/",
            "/..;/",
            "/%2F",
            "/%2f/",
            "/%5c",
        ):
            yield front + between + rest
        if at:
            for between in ("%2f", "%2F", "%5C", "\\", "/%00/", "%0d%0a/", "/%c0%af"):
                yield front + between + rest
    for end in ("/", "//", "/.", "/..", "/%2e", "%2F", "%5c", "%00", "%20%7f", "%ff", "%"):
        yield path + end


def other_spellings(path: str) -> Iterator[str]:
    """Spellings that are the same path, or another one of the right form."""
    yield f"http://evil.example{path}"
    yield f"https://evil.example:8000{path}?x=1"
    segments = path.split("/")[1:]
    for at, segment in enumerate(segments):
        for other in (
            segment.upper(),
            segment.title(),
            f"%{ord(segment[0]):02x}{segment[1:]}",
            "".join(f"%{ord(character):02X}" for character in segment),
            f"{segment};x",
            f"{segment};a=b",
            f"{segment}%3bx",
            f"{segment}%3F",
            f"{segment}%23",
            f"{segment}%20",
            f"{segment}%252e",
            f"{segment}.json",
            f"{segment}%E2%80%8B",
        ):
            yield "/".join(["", *segments[:at], other, *segments[at + 1 :]])
    yield f"/;{path}"
    yield f"/%252F{path[1:]}"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request."""

    method: str
    target: str
    template: str = ""
    """Of the route that it is a spelling of."""
    key: str = ""
    version: str = "1.1"
    field: bytes = b""
    """One more header field, as it is written."""
    content: bytes = b"{}"
    """The body of methods that have one; `{}` is enough for some routes."""

    def wire(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.target} HTTP/{self.version}".encode(), b"Host: api"]
        lines += [f"Authorization: Bearer {self.key}".encode()] if self.key else []
        lines += [self.field] if self.field else []
        if self.method not in {"POST", "PUT", "PATCH"}:
            return b"\r\n".join([*lines, b"", b""])
        described = [b"Content-Type: application/json", f"Content-Length: {len(self.content)}".encode()]
        return b"\r\n".join([*lines, *described, b"", self.content])

    def plainly(self) -> Sent:
        """Without the key, for messages."""
        return replace(self, key="…" if self.key else "")


async def ask(port: int, requests: Sequence[Sent]) -> list[tuple[Sent, int, bytes]]:
    """Send all requests over a few kept connections; return each with the status and the body of its answer."""
    parts = [requests[number::CONNECTIONS] for number in range(CONNECTIONS)]
    answered = await asyncio.gather(*(_ask_in_turn(port, part) for part in parts))
    return [answer for part in answered for answer in part]


async def _ask_in_turn(port: int, requests: Sequence[Sent]) -> list[tuple[Sent, int, bytes]]:
    answers = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent in requests:
        if reader.at_eof():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent.wire())
        status, body, kept = await _answer(reader, sent.method)
        answers.append((sent, status, body))
        if not kept:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return answers


async def _answer(reader: asyncio.StreamReader, method: str) -> tuple[int, bytes, bool]:
    """Read one answer: its status, its body, and whether the connection stays open."""
    status = 100
    while status == 100:  # RFC 9110, section 15.2.1
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
    headers: dict[bytes, Any] = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    kept = headers.get(b"connection") != b"close"
    if method == "HEAD" or status == 204:
        return status, b"", kept
    if b"content-length" not in headers:
        return status, await reader.read(), False
    return status, await reader.readexactly(int(headers[b"content-length"])), kept
