"""Looks at every connection once a second, and decides who goes when room is short."""

from __future__ import annotations

import asyncio
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.observability.metrics import CONNECTIONS_CUT, CONNECTIONS_OPEN, REQUEST_BYTES_HELD

if TYPE_CHECKING:
    from payment_service.http.door.connection import Connection
    from payment_service.http.door.limits import DoorSettings

SILENT, HEAD, BODY, ANSWER, IDLE, REST, MUTE, LINGER = range(8)
"""What the process waits for on a connection: the first byte; the end of a head; of a body; nothing, it answers; the
next request; the end of a body that was answered early; nothing, the answer to a refused request is on its way; that
the client closes after the last answer (RFC 9112, section 9.6)."""
YOUNG_SECONDS: Final = 1.0
"""A younger body or answer is not sent away for want of connections."""
LOOKS_A_LIMIT: Final = 4
_RANKS: Final = {LINGER: 0, REST: 0, SILENT: 1, HEAD: 2, IDLE: 3, BODY: 4}
_FOREVER: Final = float("inf")

log = structlog.get_logger("payment_service.door")


class Door:
    """The limits of one port.

    Args:
        settings: the limits.
        port: `api`, `admin` or another name: a label of the metrics.
        connections: the most at the same time.
    """

    def __init__(self, settings: DoorSettings, *, port: str, connections: int) -> None:
        self.settings = settings
        self.now = 0.0
        """Seconds of the door's own clock, which moves with each look: reading it costs requests nothing."""
        self.step = 0.0
        self.turns = 0
        self.held = 0
        self.budget = settings.held_bytes
        self.most = connections
        self.connections: set[Connection] = set()
        self.patience = (
            settings.first_byte_seconds,
            settings.head_seconds,
            settings.body_seconds,
            _FOREVER,
            settings.keep_alive_seconds,
            settings.linger_seconds,
            _FOREVER,
            settings.linger_seconds,
        )
        self._port = port
        self._period = min(1.0, min(self.patience) / LOOKS_A_LIMIT, settings.answer_seconds / LOOKS_A_LIMIT)
        self._timer: asyncio.TimerHandle | None = None
        self._looked = 0.0

    def open(self) -> None:
        """Begin to look."""
        self._looked = asyncio.get_running_loop().time()
        self._rearm()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def turn(self) -> int:
        """Return a number greater than all before: the clock alone does not tell what came first within a second."""
        self.turns += 1
        return self.turns

    def cut(self, reason: str) -> None:
        """Count a connection that a limit ended."""
        CONNECTIONS_CUT.labels(self._port, reason).inc()

    def room(self) -> bool:
        """Return whether one more connection fits; sends away a few that wait longest, if that helps.

        A few at once, so that a crowd that keeps connecting costs one walk over the connections for many of them.
        """
        if len(self.connections) < self.most:
            return True
        worst = nsmallest(max(1, self.most // 64), self._evictable(), key=lambda entry: entry[:-1])
        for _, _, connection in worst:
            self.cut("connections")
            connection.evict()
        return bool(worst)

    def _evictable(self) -> list[tuple[int, tuple[float, int], Connection]]:
        found = []
        for connection in self.connections:
            rank = 1 if connection.unsent else _RANKS.get(connection.phase)
            since = connection.waiting_since()
            young = (connection.unsent or connection.phase == BODY) and self.now - since[0] < YOUNG_SECONDS
            if rank is not None and not young and connection.waiting():
                found.append((rank, since, connection))
        return found

    def relieve(self) -> None:
        """Send away whose request is not whole or whose answer is not taken, until the bytes fit.

        First those that cost most, in bytes by seconds; of those that came within this second, the first.
        """
        waiting = [each for each in self.connections if each.holds()]
        for connection in sorted(waiting, key=self._cost):
            if self.held <= self.budget - self.budget // 8:
                return
            connection.relieve()

    def _cost(self, connection: Connection) -> tuple[float, int]:
        since, turn = connection.waiting_since()
        return -connection.holds() * (self.now - since), turn

    def _rearm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._period, self._look)

    def _look(self) -> None:
        """Move the clock and look at every connection.

        Time in which the process itself did not run (at most two looks count) is not the clients' fault.
        """
        now = asyncio.get_running_loop().time()
        self.step = min(now - self._looked, 2 * self._period)
        self._looked = now
        self.now += self.step
        try:
            for connection in tuple(self.connections):
                connection.look()
        except Exception:
            log.exception("door_look_failed")
        CONNECTIONS_OPEN.labels(self._port).set(len(self.connections))
        REQUEST_BYTES_HELD.labels(self._port).set(self.held)
        self._rearm()
