"""Time in a world flies over turns in which nothing can happen.

Production makes a pass whenever something is written, and when the last pass asked for one. A test that lets hours
pass makes those passes and no others, as long as nobody has touched the world: `test_turns.py` holds the operator to
it that the ones between would have changed nothing.
"""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.operator.world_api import SOURCE_SECRET

from payment_operator import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tests.unit.operator.world import World

    from payment_operator.model.actions import Decision

DERIVED = frozenset({names.KIND, "EndpointSlice"})
"""Kinds that `World.sync` makes of what else there is."""
APART = frozenset({"now", "decision", "api", "admin", "roles", "stripe", "stripe_api"})
"""Fields of a world that are the clock's, or no state of its own."""


def state(world: World) -> bytes:
    """Return what the operator and Kubernetes can find in a world, the time left out."""
    own = {name: value for name, value in vars(world).items() if name not in APART and not callable(value)}
    stored = {
        place: item
        for place, item in world.api.objects.items()
        if place[0] not in DERIVED and place[::2] != ("Secret", SOURCE_SECRET)
    }
    stripe = world.stripe_api
    return pickle.dumps((own, stored, stripe.endpoints, stripe.secrets, stripe.idempotency_keys, stripe.undelivered))


class Turns:
    """Passes of the operator, each with what Kubernetes does after it, less those that could change nothing."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._before = b""
        self._due: datetime | None = None

    @property
    def again(self) -> float | None:
        """After how many seconds the operator wants to look again."""
        return None if self._due is None else max((self._due - self.world.now).total_seconds(), 0.05)

    def idle(self) -> bool:
        """Tell whether all is as it was before the last turn, and the time has not come that it asked for."""
        before, self._before = self._before, state(self.world)
        return self._before == before and (self._due is None or self.world.now < self._due)

    def made(self, again: float | None) -> None:
        """Note after how many seconds the pass that was just made wants to look again."""
        self._due = None if again is None else self.world.now + timedelta(seconds=again)

    def take(self) -> Decision | None:
        """Make a turn, and return what was decided; None where nothing can happen."""
        if self.idle():
            return None
        try:
            decision = self.world.operate()
        except BaseException:
            self._before = b""
            raise
        finally:
            self.world.progress()
        self.made(decision.again_after)
        return decision


def live(
    world: World,
    *,
    passes: int,
    seconds: Callable[[float | None], float],
    until: Callable[[], Any] = lambda: False,
) -> list[Decision]:
    """Take turns until something holds; `seconds` says how long to wait when the operator wants to look again then."""
    turns, made = Turns(world), []
    for _ in range(passes):
        if (decision := turns.take()) is not None:
            made.append(decision)
        if until():
            break
        world.now += timedelta(seconds=seconds(turns.again))
    return made
