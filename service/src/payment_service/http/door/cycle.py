"""One request and its answer."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from payment_service.errors import BadRequest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn._types import ASGIReceiveEvent

    from payment_service.errors import PaymentsError

GONE: Final = "The connection ended before the request's body did; nothing was done"


class Outlet:
    """The side of a transport that answers are written to; `close` is the protocol's own.

    `abort` and `get_extra_info` are for the simulator, which resets connections on purpose.
    """

    __slots__ = ("abort", "close", "get_extra_info", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info


class GuardedCycle(RequestResponseCycle):
    """uvicorn's, but an application never takes a part of a body for the whole.

    A body that does not come (the client left, was too slow, or broke the framing) is raised from `receive()` as an
    error of the service, so that every route answers, counts and logs it as it does any other refusal.
    """

    failure: PaymentsError | None = None
    held: int = 0
    """Bytes of the body, until the request is answered."""

    def fail(self, error: PaymentsError) -> None:
        """Have `receive()` raise `error`, and close the connection after the answer."""
        self.failure = error
        self.keep_alive = False
        self.body = bytearray()
        self.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next part of the body.

        Raises:
            PaymentsError: the rest of the body will not come.
        """
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.failure is not None:
            self.message_event.set()
            # of the one kept here the traceback would hold the body in a circle, until garbage is looked for
            raise copy(self.failure)
        if self.disconnected and self.more_body and not self.response_complete:
            raise BadRequest(GONE)
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}
