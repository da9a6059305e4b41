"""An HTTP server that speaks as much of Kubernetes' API as a watch needs, on real sockets, and can break it off.

Discovery, lists, watches with bookmarks by `timeoutSeconds`: only what is on the wire. What a watch dies of is said by
`kill`: streams that are open die so, and each later request of a watch, until `heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from payment_operator import names
from payment_operator.runtime.handlers import OWNED

if TYPE_CHECKING:
    import ssl

ENVIRONMENTS = (names.GROUP, names.VERSION, names.PLURAL)
REQUESTS = (names.GROUP, names.VERSION, names.REQUEST_PLURAL)
REFUSALS = {"401": "Unauthorized", "403": "Forbidden", "429": "Too Many Requests", "500": "Internal Server Error"}
HALF = b'{"type": "MODIFIED", "object": {"kind": "Paym'
LINES = {
    "half a line": HALF,
    "garbage": b"\x00\xff not JSON\n",
    "410 in the stream": json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}).encode() + b"\n",
    "500 in the stream": json.dumps({"type": "ERROR", "object": {"code": 500, "reason": "No"}}).encode() + b"\n",
    "an unknown line": b'{"kind": "Status"}\n',
}
DEATHS = (*LINES, *REFUSALS, "closed", "reset", "silent", "deaf", "an endless line", "HTML", "gone")


class Watched:
    """The server; `version` is that of its one environment."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.version = 1
        self.death = ""
        self.asked = 0
        """Requests of the environments' watch."""
        self._tls = tls
        self._changed = asyncio.Condition()
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def change(self) -> None:
        """The environment has another version."""
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    async def kill(self, death: str) -> None:
        """Let every watch die so, from now on."""
        async with self._changed:
            self.death = death
            self._changed.notify_all()

    async def heal(self) -> None:
        """Watches work again; what was silent stays so."""
        self.death = ""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        url = urlsplit(head.split(" ", 2)[1])
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "watch" not in query:
            await _send(writer, self._document(url.path))
            return True
        self.asked += url.path.endswith(names.PLURAL)
        return await self._watch(writer, url.path, query)

    async def _watch(self, writer: asyncio.StreamWriter, path: str, query: dict[str, str]) -> bool:
        if self.death in REFUSALS:
            refusal = {"kind": "Status", "code": int(self.death), "message": "no", "reason": REFUSALS[self.death]}
            await _send(writer, refusal, status=f"{self.death} {REFUSALS[self.death]}")
            return True
        if self.death == "gone":
            return False
        if self.death == "deaf":
            await asyncio.Event().wait()
        kind = "text/html" if self.death == "HTML" else "application/json"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        try:
            async with asyncio.timeout(float(query["timeoutSeconds"])):
                await self._stream(writer, path, int(query.get("resourceVersion", "0")))
        except TimeoutError:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
            return True
        return await self._die(writer)

    async def _stream(self, writer: asyncio.StreamWriter, path: str, since: int) -> None:
        """Changes as they come, until a death does."""
        while not self.death:
            if path.endswith(names.PLURAL) and since < self.version:
                _chunk(writer, json.dumps({"type": "MODIFIED", "object": self._environment()}).encode() + b"\n")
                await writer.drain()
            since = self.version
            async with self._changed:
                await self._changed.wait_for(partial(self._differs, since))

    def _differs(self, since: int) -> bool:
        return bool(self.death) or self.version != since

    async def _die(self, writer: asyncio.StreamWriter) -> bool:
        if self.death in LINES:
            _chunk(writer, LINES[self.death])
        elif self.death == "HTML":
            _chunk(writer, b"<html><body>Sign in</body></html>")
        elif self.death == "silent":
            await asyncio.Event().wait()
        elif self.death == "an endless line":
            while True:
                _chunk(writer, b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        elif self.death == "reset":
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        elif self.death == "gone":
            writer.transport.abort()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return self.death not in {"closed", "HTML"}

    def _environment(self) -> dict[str, Any]:
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {
                "name": "shop",
                "namespace": "test",
                "uid": "uid-shop",
                "resourceVersion": str(self.version),
            },
        }

    def _document(self, path: str) -> dict[str, Any]:
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = sorted({(group, version) for group, version, _ in (*OWNED, ENVIRONMENTS, REQUESTS) if group})
            return {"kind": "APIGroupList", "groups": [_group(*entry) for entry in groups]}
        for group, version, _ in (*OWNED, ENVIRONMENTS, REQUESTS):
            if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
                return _resources(group, version)
        items = [self._environment()] if path.endswith(names.PLURAL) else []
        return {"kind": "List", "metadata": {"resourceVersion": str(self.version)}, "items": items}


def _group(group: str, version: str) -> dict[str, Any]:
    served = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resources(group: str, version: str) -> dict[str, Any]:
    found = [plural for *where, plural in (*OWNED, ENVIRONMENTS, REQUESTS) if where == [group, version]]
    verbs = ["get", "list", "watch", "patch"]
    kinds = {names.PLURAL: names.KIND}
    resources = [
        {
            "name": plural,
            "singularName": "",
            "kind": kinds.get(plural, plural[:-1].capitalize()),
            "namespaced": True,
            "verbs": verbs,
        }
        for plural in found
    ]
    if not group:
        more = {"singularName": "", "namespaced": False, "verbs": verbs}
        resources += [more | {"name": "namespaces", "kind": "Namespace"}, more | {"name": "events", "kind": "Event"}]
    return {"kind": "APIResourceList", "groupVersion": f"{group}/{version}".lstrip("/"), "resources": resources}


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def _send(writer: asyncio.StreamWriter, document: dict[str, Any], *, status: str = "200 OK") -> None:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
