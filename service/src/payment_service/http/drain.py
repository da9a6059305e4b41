"""Drain mode: a process that is about to stop goes on serving and sends its clients elsewhere.

Requests on open connections would otherwise meet a closed socket when the process ends; `Connection: close` (RFC 9112,
section 9.6) makes each client open its next connection, which reaches another pod.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class DrainState:
    """What the process tells about its will to serve."""

    def __init__(self) -> None:
        self.closing_connections = False
        """Answers carry `Connection: close`."""
        self.stopping = False
        """Readiness fails."""
        self.on_closing: list[Callable[[], None]] = []
        """Called when answers that last are to end, so that their clients go elsewhere."""
        self._since = 0.0

    def drain(self, *, on: bool) -> None:
        """Send clients elsewhere, or take them again unless the process stops; readiness stays as it is."""
        self._close(on=on or self.stopping)

    def stop(self) -> None:
        """Begin to stop: readiness fails and connections close."""
        if not self.stopping:
            self._since = time.monotonic()
        self.stopping = True
        self._close(on=True)

    def _close(self, *, on: bool) -> None:
        self.closing_connections = on
        for tell in self.on_closing if on else ():
            tell()

    def remaining(self, seconds: float) -> float:
        """Return how much of `seconds` is left since the process began to stop."""
        return max(0.0, self._since + seconds - time.monotonic())
