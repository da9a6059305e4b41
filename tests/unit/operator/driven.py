"""The real reconciler over the adapters in memory, pass by pass; it remembers, as a process that lives does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.unit.operator.turns import Turns
from tests.unit.operator.world import OWNER, World
from tests.unit.operator.world_api import Manifest, Store, allow

from payment_operator.clients.protocols import Clients
from payment_operator.runtime.reconciler import Reconciler
from payment_operator.testing import InMemoryPods

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_operator.model.pod import Pod

__all__ = ["KEY", "Driven", "Manifest", "Ports", "Store", "allow"]
KEY = (OWNER.namespace, OWNER.name)


def no_metrics(_: Pod) -> str | None:
    """Say nothing."""
    return None


class Ports(InMemoryPods):
    """The admin ports of a world's pods."""

    def __init__(self, world: World, text: Callable[[Pod], str | None] = no_metrics, *, takes: bool = True) -> None:
        super().__init__(takes=takes, text=text, taken=world.told)
        self.world = world


class Driven(Reconciler):
    """One environment, on a clock of its own."""

    def __init__(
        self, world: World, *, store: Store | None = None, ports: Ports | None = None, request_policy: str = ""
    ) -> None:
        self.world, self.store = world, store or Store(world)
        self.ports = ports or Ports(world)
        super().__init__(
            Clients(self.store, self.ports, world.stripe_api, world.roles),
            resync=30,
            request_policy=request_policy,
            now=world.clock,
        )

    async def passes(self, count: int, *, seconds: float = 5) -> list[Exception]:
        """Let time go by in steps with a pass in each in which anything can happen; return what passes died of."""
        died: list[Exception] = []
        turns = Turns(self.world)
        for _ in range(count):
            if not turns.idle():
                turns.made(await self._turn(died))
            self.world.now += timedelta(seconds=seconds)
        return died

    async def _turn(self, died: list[Exception]) -> float | None:
        again: float | None = 0
        self.world.sync()
        try:
            again = await self((self.world.owner.namespace, self.world.owner.name))
        except Exception as error:  # noqa: BLE001 - what a pass dies of is the question
            died.append(error)
        self.world.synced()
        self.world.progress()
        return again

    def told(self, reason: str) -> list[str]:
        """The messages of Events with this reason."""
        return [message for found, message in self.store.events if found == reason]
