"""The clock that stands for Stripe's test clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.clock import MovableClock

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from stripe_simulator.storage import Storage


class KeptClock(MovableClock):
    """Moves as far as it was moved before a restart: the periods that it ended must not begin again.

    Args:
        base: real time.
        storage: keeps how far it was moved; None: memory only.
    """

    def __init__(self, base: Clock, storage: Storage | None) -> None:
        super().__init__(base)
        self._storage = storage
        if storage is not None:
            super().advance(storage.moved_seconds())

    def advance(self, seconds: float) -> None:
        """Move the clock forward, in the file first: what falls due then is done by a run that has it."""
        super().advance(seconds)
        if self._storage is not None:
            self._storage.keep_moved_seconds(self._offset)
