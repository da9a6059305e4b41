"""One HTTP/1.1 connection under the limits of its door."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from payment_service.errors import BadRequest, HeadTooLarge, ServiceUnavailable
from payment_service.http.door.connection import Connection
from payment_service.http.door.cycle import GuardedCycle, Outlet
from payment_service.http.door.head import size_fault, too_large, version_fault
from payment_service.http.door.watch import ANSWER, BODY, HEAD, IDLE, LINGER, MUTE, REST

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError

PIPELINED: Final = 16
"""Requests that may wait behind the one that is answered; hardly any client sends a second."""
WRITE_BUFFER_BYTES: Final = 16 * 1024
"""An answer that waits with more than this counts as held; also where writing pauses."""
CHUNK_OVERHEAD: Final = 8
"""Bytes of chunk framing for one of content: chunks of one byte need five."""
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_FULL: Final = "This process holds as many bytes of requests as it may; try again"


class Refused(Exception):
    """Ends the parser's work on a request that is not taken."""


class GuardedProtocol(Connection):
    """uvicorn's protocol under limits; the hot path only notes what it waits for and since when."""

    # the transport's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio's: BaseTransport
        """Take the connection, or refuse it when there is no room."""
        door = self.door
        room = door.room()
        super().connection_made(transport)
        door.connections.add(self)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._outlet: Any = Outlet(transport, self.finish)
        if room:
            return
        door.cut("connections")
        if len(door.connections) > door.most + door.most // 8:
            transport.abort()
            return
        full = ServiceUnavailable("This process holds as many connections as it may; try again", retry_after=1)
        self.answer_now(full)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what the connection held, and tell every request on it."""
        self.door.connections.discard(self)
        self.release_head()
        self.note_unsent(0)
        self.drop_queue()
        if self.running is not None:
            self.release(self.running)
            self.running.disconnected = not self.running.response_complete
            self.running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, in parts of a head's greatest size so that no more than two of them are ever held."""
        size = self.door.settings.head_bytes
        if len(data) <= size:
            if self.phase < MUTE:
                self._feed(data)
            return
        for start in range(0, len(data), size):
            if self.phase >= MUTE or self.transport.is_closing():
                return
            self._feed(data[start : start + size])

    def pause_writing(self) -> None:
        """Count the answer that the client does not take."""
        super().pause_writing()
        self.unsent_since = self.door.now
        self.note_unsent(self.transport.get_write_buffer_size())
        if self.door.held > self.door.budget:
            self.door.relieve()

    def resume_writing(self) -> None:
        """Forget it."""
        self.note_unsent(0)
        super().resume_writing()

    # the parser

    def _feed(self, data: bytes) -> None:
        before, headers = self.phase, self.headers
        try:
            rest = self._parse(data)
        except httptools.HttpParserError:
            error, reason = self.refusal or (BadRequest("This is not a valid HTTP/1.1 request"), "malformed")
            self.refuse(error, reason)
            return
        if rest is not None:
            if rest:
                self._feed(rest)
            return
        if self.phase == HEAD:
            self._grow_head(len(data), began=self.headers is not headers)
        elif self.phase == BODY == before and self.headers is headers:
            self.raw_bytes += len(data)
            if self.raw_bytes - self.body_bytes > self.door.settings.head_bytes + CHUNK_OVERHEAD * self.body_bytes:
                self.refuse(BadRequest("The chunks of the body are more framing than content"), "chunk_framing")

    def _parse(self, data: bytes) -> bytes | None:
        """Parse; return what is left behind a head that offers another protocol, None when all is parsed.

        RFC 9110, section 7.8: an offer (WebSocket, h2c) may be ignored. Java's client makes it with each first request.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.offers:
                self._parse_body_anew()
            return data[upgrade.args[0] :]
        return None

    def _parse_body_anew(self) -> None:
        """Have a parser read the body behind an offer: httptools takes such a request for one without a body."""
        framing = b"".join(b"%s: %s\r\n" % (name, value) for name, value in self.headers if name in _FRAMING)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")

    def _grow_head(self, size: int, *, began: bool) -> None:
        """Count a head that is not whole; what came with the end of another request counts when it is whole."""
        door = self.door
        if began:
            self.turn = door.turn()
        door.held += size
        self.head_held += size
        self.head_bytes += 1 if began else size
        if self.head_bytes > door.settings.head_bytes:
            self.refuse(*too_large(self.url, limit=door.settings.head_bytes))
        elif door.held > door.budget:
            door.relieve()

    def on_message_begin(self) -> None:
        """Begin a head; raises when the connection takes no more."""
        if self.offers:
            return
        if self.phase >= MUTE:
            raise Refused
        super().on_message_begin()
        self.phase = HEAD
        self.since = self.door.now
        self.hosts = 0
        self.head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; trailer fields are never merged into the header (RFC 9110, section 6.5.1)."""
        if self.phase != HEAD:
            return
        name = name.lower()
        if name == b"host":
            self.hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin to answer, or queue the request behind those that came before on this connection."""
        if self.offers:
            self.offers = False
        else:
            self._begin_request()

    def _begin_request(self) -> None:
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        if version != "1.1":
            scope["http_version"] = version
        self._check_head(version)
        target = httptools.parse_url(self.url)
        raw_path = target.path or b"/"
        path = raw_path.decode("ascii")
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = target.query or b""
        waits = self.answering()
        if waits and len(self.pipeline) >= PIPELINED:
            self._refuse_head(BadRequest(f"At most {PIPELINED} requests may be pipelined"), "pipelined")
        cycle = GuardedCycle(
            scope=scope,
            transport=self._outlet,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self.cycle = cycle
        self.phase = BODY
        self.since = self.door.now
        self.body_bytes = self.raw_bytes = 0
        self.offers = parser.should_upgrade() and any(name in _FRAMING for name, _ in self.headers)
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self.running = cycle
            self._start_asgi_task(cycle, self.app)

    def _check_head(self, version: str) -> None:
        """Refuse a head that is too large or that RFC 9112 calls faulty, and any while too much is held."""
        door, fields = self.door, self.headers
        if self.head_bytes:
            self.release_head()
            if fault := size_fault(self.url, fields, limits=door.settings):
                self._refuse_head(*fault)
        if len(fields) > door.settings.head_fields:
            self._refuse_head(HeadTooLarge(f"More than {door.settings.head_fields} header fields"), "head_fields")
        if b"#" in self.url:  # no part of a request (RFC 9112, section 3.2): a proxy may take it for more of the path
            self._refuse_head(
                BadRequest("The target of the request holds a #; send %23 for the character"), "malformed"
            )
        if (self.hosts != 1 or version != "1.1") and (fault := version_fault(version, fields, hosts=self.hosts)):
            self._refuse_head(*fault)
        if door.held > door.budget:
            self._refuse_head(ServiceUnavailable(_FULL, retry_after=1), "held_bytes")

    def _refuse_head(self, error: PaymentsError, reason: str) -> NoReturn:
        self.refusal = (error, reason)
        raise Refused

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on; what nobody waits for any more is thrown away."""
        cycle, size = self.cycle, len(body)
        self.body_bytes += size
        if self.phase != BODY or cycle.response_complete:
            return
        if not cycle.held:
            self.turn = self.door.turn()
        cycle.body += body
        cycle.held += size
        self.door.held += size
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()
        if self.door.held > self.door.budget:
            self.door.relieve()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        if self.offers:
            return
        if self.phase == BODY:
            self.phase = ANSWER
            cycle = self.cycle
            cycle.more_body = False
            cycle.message_event.set()
        elif self.phase == REST:
            self.phase = IDLE
            self.since = self.door.now

    def on_response_complete(self) -> None:
        """Go on with the next request that waits, or wait for it."""
        self.server_state.total_requests += 1
        if self.running is not None:
            self.release(self.running)
        if self.phase == LINGER or self.transport.is_closing():
            return
        if self.pipeline:
            self.running, app = self.pipeline.pop()
            self._start_asgi_task(self.running, app)
            return
        self.flow.resume_reading()
        if self.phase == ANSWER:
            self.phase = IDLE
            self.since = self.door.now
        elif self.phase == BODY:
            self.phase = REST
            self.since = self.door.now
