"""The worlds that the keys open: one for each account and mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stripe_simulator.routes import Table, build_table
from stripe_simulator.state import DEFAULT_ACCOUNT, State
from stripe_simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_service.clock import Clock
    from stripe_simulator.faults import Faults
    from stripe_simulator.keys import Key
    from stripe_simulator.storage import Storage


class Opened(NamedTuple):
    """A world and its operations."""

    world: World
    table: Table


class Worlds:
    """All accounts, in both modes; each is made when a key first opens it."""

    def __init__(self, *, storage: Storage | None, clock: Clock, billing: Clock, faults: Faults) -> None:
        self._clock, self._billing = clock, billing
        self._faults = faults
        self._storage = storage
        self._opened: dict[tuple[str, bool], Opened] = {}
        self._delivering = False
        for name in self._storage.worlds() if self._storage is not None else ():
            account, _, mode = name.partition("/")
            self.of(account, livemode=mode == "live")
        self.default = self.of(DEFAULT_ACCOUNT).world

    def of(self, account: str, *, livemode: bool = False) -> Opened:
        """Return the world of an account in a mode."""
        opened = self._opened.get((account, livemode))
        if opened is None:
            state = State(
                clock=self._clock, billing=self._billing, account=account, livemode=livemode, storage=self._storage
            )
            world = World(state, self._faults)
            opened = self._opened[account, livemode] = Opened(world, build_table(world))
            if self._delivering:
                world.delivery.start()
        return opened

    def open(self, key: Key) -> Opened:
        """Return the world that a key opens."""
        return self.of(key.account, livemode=key.livemode)

    def all(self) -> Iterator[World]:
        """Yield all worlds."""
        for opened in list(self._opened.values()):
            yield opened.world

    def start(self) -> None:
        """Begin to deliver events."""
        self._delivering = True
        for world in self.all():
            world.delivery.start()

    async def stop(self) -> None:
        """Stop delivery and write the state."""
        self._delivering = False
        for world in self.all():
            await world.delivery.stop()
        self.close()

    def close(self) -> None:
        """Write and close the file."""
        for world in self.all():
            world.state.flush()
        if self._storage is not None:
            self._storage.close()
            self._storage = None
