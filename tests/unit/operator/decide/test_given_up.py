"""What failed, or was left by a person, does not come back because credentials change; a person has a way out."""

from __future__ import annotations

import copy
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator.decide.test_database_rotation import DATABASE, LOGINS, due, rotation, url_in_use
from tests.unit.operator.turns import Turns
from tests.unit.operator.world import SOURCE, SPEC, World

from payment_operator.decide.placement import assign
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.resources.login import login_of

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, SECOND, THIRD = (f"registry/payments:{number}" for number in (1, 2, 3))
NEW_KEY = "sk_test_2"


@pytest.fixture
def world() -> World:
    """An environment with alternating roles that keeps no history and serves its first revision."""
    return copy.deepcopy(_served())


@cache
def _served() -> World:
    release = SPEC["release"] | {"revisionHistoryLimit": 1}
    spec = copy.deepcopy(SPEC) | {"database": copy.deepcopy(DATABASE), "release": release}
    made = World(spec=spec, source=dict(SOURCE) | LOGINS)
    live(made, passes=40)
    return made


def live(world: World, *, passes: int = 150, until: Callable[[], Any] = lambda: False) -> set[str]:
    """Let time pass, and return the images that had traffic."""
    served, turns = set(), Turns(world)
    for _ in range(passes):
        if turns.take() is not None:
            served.add(world.active())
        if until():
            break
        world.now += timedelta(seconds=min(turns.again or 10, 10))
    return served


def fails_in_its_bake(world: World) -> None:
    world.behave(SECOND).breach = "errors"
    world.change(image=SECOND)
    live(world)
    world.behave(SECOND).breach = ""


def fails_its_smoke(world: World) -> None:
    world.behave(SECOND).exit_codes["smoke"] = 1
    world.change(image=SECOND)
    live(world)
    world.behave(SECOND).exit_codes.clear()


def is_aborted(world: World) -> None:
    world.spec["release"]["promotion"] = "Manual"
    world.change(image=SECOND)
    live(world, until=lambda: (world.status.get("candidate") or {}).get("step") == "Hold")
    world.ask("abort")
    live(world, passes=20)
    world.spec["release"]["promotion"] = "Auto"
    world.generation += 1


def is_rolled_back(world: World) -> None:
    world.change(image=SECOND)
    live(world, until=lambda: world.status.get("stable") == 2)
    world.ask("rollback")
    live(world)


def is_left_later(world: World) -> None:
    world.change(image=SECOND)
    live(world)
    assert len(world.populated()) == 1
    world.ask("rollback", 1)
    live(world)


GIVEN_UP = [fails_in_its_bake, fails_its_smoke, is_aborted, is_rolled_back, is_left_later]


def new_key(world: World) -> None:
    assert world.source is not None
    world.source["STRIPE_SECRET_KEY"] = NEW_KEY


def key_in_use(world: World) -> str:
    seen = world.observe()
    return seen.credentials(assign(seen, staged_of(seen)).active)["STRIPE_SECRET_KEY"]


def ask(world: World, what: str) -> str:
    world.ask("rotate", secret=what, compromised=True)
    live(world, passes=3)
    return f"{world.answer()['state']}: {world.answer()['message']}"


@pytest.mark.parametrize("given_up", GIVEN_UP)
def test_new_credentials_do_not_bring_it_back_and_come_when_the_spec_is_put_back(
    world: World, given_up: Callable[[World], None]
) -> None:
    given_up(world)
    assert world.active() == FIRST
    new_key(world)
    assert live(world) == {FIRST}
    assert key_in_use(world) == SOURCE["STRIPE_SECRET_KEY"]
    assert "waits for" in world.conditions()["TrafficSwitched"]["message"]
    before = world.writes
    live(world, passes=10)
    assert world.writes == before
    world.change(image=FIRST)
    assert live(world) == {FIRST}
    assert key_in_use(world) == NEW_KEY


@pytest.mark.parametrize("given_up", GIVEN_UP)
def test_a_rotation_that_is_due_waits_and_says_for_what(world: World, given_up: Callable[[World], None]) -> None:
    given_up(world)
    due(world)
    assert live(world) == {FIRST}
    assert login_of(url_in_use(world)).role == "app"
    assert rotation(world)["message"].startswith("the next rotation waits for a ")
    assert "the spec" in rotation(world)["message"]
    world.change(image=FIRST)
    assert live(world) == {FIRST}
    assert login_of(url_in_use(world)).role == "app_a"


@pytest.mark.parametrize("what", ["database", "api-key"])
@pytest.mark.parametrize("given_up", [fails_in_its_bake, is_left_later])
def test_a_leak_is_answered_with_the_way_out(world: World, given_up: Callable[[World], None], what: str) -> None:
    given_up(world)
    if what == "api-key":
        new_key(world)
    said = ask(world, what)
    assert said.startswith("Done")
    assert ("the spec to be put back" if given_up is fails_in_its_bake else "a change of the spec") in said
    assert live(world) == {FIRST}
    world.change(image=FIRST)
    live(world)
    if what == "api-key":
        assert key_in_use(world) == NEW_KEY
    else:
        assert world.database["app"][1] is False


def test_a_retry_releases_what_failed_with_the_new_credentials(world: World) -> None:
    fails_in_its_bake(world)
    new_key(world)
    live(world)
    stalled = world.conditions()["Stalled"]
    assert stalled["reason"] == "BakeFailed"
    assert "the new credentials wait for a retry of revision 2" in stalled["message"]
    world.ask("retry")
    live(world)
    assert world.answer()["state"] == "Done"
    assert (world.active(), key_in_use(world)) == (SECOND, NEW_KEY)


def test_a_failure_is_not_forgotten_while_the_spec_asks_for_what_failed(world: World) -> None:
    fails_its_smoke(world)
    world.behave(THIRD).exit_codes["smoke"] = 1
    world.change(image=THIRD)
    live(world)
    world.change(image=SECOND)
    live(world)
    new_key(world)
    assert live(world) == {FIRST}


def test_credentials_that_failed_alone_are_followed_by_better_ones(world: World) -> None:
    world.behave(FIRST).exit_codes["smoke"] = 1
    new_key(world)
    live(world)
    assert key_in_use(world) == SOURCE["STRIPE_SECRET_KEY"]
    world.behave(FIRST).exit_codes.clear()
    assert world.source is not None
    world.source["STRIPE_SECRET_KEY"] = "sk_test_3"
    live(world)
    assert key_in_use(world) == "sk_test_3"
