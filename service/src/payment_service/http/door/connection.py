"""What a connection waits for, how long it may, and how it ends."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from payment_service.errors import RequestTimeout
from payment_service.http.door.head import closing_answer
from payment_service.http.door.watch import ANSWER, BODY, HEAD, IDLE, LINGER, MUTE, REST, SILENT

if TYPE_CHECKING:
    import asyncio
    from collections import deque

    from uvicorn.server import ServerState

    from payment_service.errors import PaymentsError
    from payment_service.http.door.config import DoorConfig
    from payment_service.http.door.cycle import GuardedCycle

_ANSWER_BYTES_PER_SECOND: Final = 1024
_SLOW: Final = "The request did not arrive in time; send it again"
_TIMEOUTS: Final = {SILENT: "silent", HEAD: "slow_head", BODY: "slow_body", IDLE: "idle", REST: "slow_rest"}


class Connection(HttpToolsProtocol):
    """The state of a connection: `phase` is what it waits for, `since` when that began by the door's clock."""

    transport: asyncio.Transport
    cycle: GuardedCycle
    pipeline: deque[Any]

    def __init__(
        self,
        config: DoorConfig,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.door = config.door
        self.phase = SILENT
        self.since = self.door.now
        self.turn = self.door.turn()
        self.unsent = 0
        """Bytes of an answer that the client does not take; 0 while writing is not paused."""
        self.running: GuardedCycle | None = None
        self.hosts = 0
        self.offers = False
        """The request offers another protocol and has a body, which the parser has yet to be told."""
        self.head_bytes = 0
        self.head_held = 0
        self.body_bytes = 0
        self.raw_bytes = 0
        self.unsent_since = self.door.now
        self.refusal: tuple[PaymentsError, str] | None = None

    def finish(self) -> None:
        """Close after the answer; a reset by unread bytes must not destroy it on its way (RFC 9112, section 9.6)."""
        if self.phase in {ANSWER, IDLE, LINGER}:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        self.drop_queue()
        self.phase = LINGER
        self.since = self.door.now
        if self.transport.is_closing():
            return
        self.transport.write_eof()
        self.flow.resume_reading()

    def drop_queue(self) -> None:
        """Forget the requests that wait behind the one that is answered."""
        for cycle, _ in self.pipeline:
            self.release(cycle)
        self.pipeline.clear()

    def refuse(self, error: PaymentsError, reason: str) -> None:
        """Read no more, and answer: through the application if it has begun, after earlier answers, or at once."""
        if self.phase >= MUTE or self.transport.is_closing():
            return
        self.door.cut(reason)
        self.release_head()
        if not self.answering():
            self.answer_now(error)
            return
        if self.phase == BODY:
            self.cycle.fail(error)
        self.cycle.keep_alive = False
        self.phase = MUTE

    def answer_now(self, error: PaymentsError) -> None:
        """Answer without the application, and close."""
        self.transport.write(closing_answer(error, defaults=self.server_state.default_headers))
        self._linger()

    def answering(self) -> bool:
        """Return whether a request is being answered."""
        return self.running is not None and not self.running.response_complete

    # what the door asks

    def look(self) -> None:
        """Send the client away when it had its time."""
        door, phase = self.door, self.phase
        waited = door.now - self.since
        if self.flow.read_paused:
            self.since += door.step
        elif waited > door.patience[phase]:
            self._expire()
        elif phase == BODY and waited > door.settings.grace_seconds and self._trickles(waited):
            self.refuse(RequestTimeout(_SLOW), "slow_body")
        if self.unsent:
            self._look_at_answer()
        elif not self.transport.get_write_buffer_size():
            self.unsent_since = door.now
        elif door.now - self.unsent_since > door.settings.answer_seconds:
            self._abort("slow_answer")

    def _trickles(self, waited: float) -> bool:
        return self.body_bytes < self.door.settings.body_bytes_per_second * waited

    def _look_at_answer(self) -> None:
        """Ask for a least rate of an answer for which writing is paused."""
        door, left = self.door, self.transport.get_write_buffer_size()
        waited = door.now - self.unsent_since
        if waited <= door.settings.answer_seconds:
            return
        if self.unsent - left < _ANSWER_BYTES_PER_SECOND * waited:
            self._abort("slow_answer")
        else:
            self.unsent_since = door.now
            self.note_unsent(left)

    def _expire(self) -> None:
        phase = self.phase
        if phase in {HEAD, BODY}:
            self.refuse(RequestTimeout(_SLOW), _TIMEOUTS[phase])
            return
        if phase != LINGER:
            self.door.cut(_TIMEOUTS[phase])
        self.transport.close()

    def evict(self) -> None:
        """Make room at once."""
        if self.phase == BODY:
            self.cycle.fail(RequestTimeout(_SLOW))
        if self.unsent:
            self._reset()
        else:
            self.transport.close()

    def waiting(self) -> bool:
        """Return whether all that the connection is there for waits for the client."""
        return bool(self.unsent) or not self.answering() or (self.phase == BODY and self.running is self.cycle)

    def waiting_since(self) -> tuple[float, int]:
        """Return since when, by the door's clock, and in which turn."""
        return (self.unsent_since if self.unsent else self.since), self.turn

    def holds(self) -> int:
        """Return how many bytes the client's slowness holds."""
        return self.unsent + self.head_held + (self.cycle.held if self.phase == BODY else 0)

    def relieve(self) -> None:
        """Give the bytes back that wait for the client."""
        if self.unsent:
            self._abort("held_bytes")
            return
        if self.phase == BODY:
            self.release(self.cycle)
        self.refuse(RequestTimeout(_SLOW, retry_after=1), "held_bytes")

    def _abort(self, reason: str) -> None:
        self.door.cut(reason)
        self.note_unsent(0)
        self._reset()

    def _reset(self) -> None:
        """Close with a reset: an ordinary close leaves what nobody reads to the kernel, for minutes."""
        bound = self.transport.get_extra_info("socket")
        # on a copy, for the event loop's own socket takes no options
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(bound.fileno())) as copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def note_unsent(self, size: int) -> None:
        """Note how many bytes of an answer the client does not take."""
        self.door.held += size - self.unsent
        self.unsent = size

    def release(self, cycle: GuardedCycle) -> None:
        """Hold a request's body no more: nobody reads what is left of it."""
        self.door.held -= cycle.held
        cycle.held = 0
        cycle.body = bytearray()

    def release_head(self) -> None:
        """Hold a part of a head no more."""
        self.door.held -= self.head_held
        self.head_held = 0
