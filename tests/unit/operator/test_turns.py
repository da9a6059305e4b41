"""Between the moments at which the operator asked to look again, it finds nothing to do in a world left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.unit.operator.decide.test_database_rotation import Rotating, due
from tests.unit.operator.secret_key_world import A, B, serving
from tests.unit.operator.turns import Turns, state
from tests.unit.operator.webhook_world import rested
from tests.unit.operator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

NEW = "registry/payments:2"


def release() -> World:
    """A release, with its bake and the retention of the former revision."""
    world = World.serving()
    world.change(image=NEW)
    return world


def failing_release() -> World:
    """A release that comes to its deadline."""
    world = release()
    world.behave(NEW).starts = False
    return world


def refused_key() -> World:
    """An API key that Stripe does not take."""
    world = World.serving()
    world.verdicts["sk_test_2"] = ("Refused", "Revoked")
    world.source = (world.source or {}) | {"STRIPE_SECRET_KEY": "sk_test_2"}
    return world


def database_rotation() -> World:
    """A new role and its release."""
    world = Rotating.serving()
    due(world)
    return world


def webhook_rotation() -> World:
    """A second endpoint, its overlap, and the end of the first."""
    world = rested()
    world.ask("rotate", secret="webhook")
    return world


def secret_key_rotation() -> World:
    """A value that signs, and one that goes."""
    world = serving(A)
    world.write(B)
    return world


@pytest.mark.parametrize(
    "begun", [release, failing_release, refused_key, database_rotation, webhook_rotation, secret_key_rotation]
)
def test_a_pass_before_its_time_changes_nothing(begun: Callable[[], World]) -> None:
    world = begun()
    turns, idle = Turns(world), 0
    for _ in range(160):
        before, writes = state(world), world.writes
        if turns.take() is None:
            assert not world.operate().events
            world.progress()
            assert (state(world), world.writes) == (before, writes)
            idle += 1
        world.now += timedelta(seconds=min(turns.again or 15, 15))
    assert idle
