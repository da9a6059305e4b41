"""Tells people of events that show less than they should, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from payment_service.observability.metrics import FEED_UNSHOWN

if TYPE_CHECKING:
    from payment_service.feed.events import Made

REMEMBERED: Final = 10_000
"""Events that a process knows to have reported; an older one is reported again when it is read again."""

log = structlog.get_logger("payments")


class Faults:
    """What was reported by this process."""

    def __init__(self) -> None:
        self._reported: dict[int, None] = {}

    def report(self, made: Made) -> None:
        """Log and count an event that could not be shown whole, unless that was done before."""
        sequence = made.event.sequence
        if made.fault is None or sequence in self._reported:
            return
        if len(self._reported) >= REMEMBERED:
            del self._reported[next(iter(self._reported))]
        self._reported[sequence] = None
        FEED_UNSHOWN.labels(made.kind).inc()
        log.warning("feed_event_unshown", sequence=sequence, kind=made.kind, reason=made.fault.reason)
