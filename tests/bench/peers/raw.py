"""Arm R: the least that an ASGI application can do, on the service's own uvicorn settings."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

from payment_service.http.server import Servers, listen

_BODY = b'{"status":"alive"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY, "more_body": False})


async def serve(port: int) -> None:
    await Servers().start(application, listen("127.0.0.1", port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
