"""A leaked database password or API key, told at any moment: what replaces it is not held, and it is not retained."""

from __future__ import annotations

import copy
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.operator import turns
from tests.unit.operator.decide.test_database_rotation import DATABASE, LOGINS, due, rotation, url_in_use
from tests.unit.operator.world import SOURCE, SPEC, World

from payment_operator.decide.placement import assign
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.resources.login import login_of

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASE = SPEC["release"] | {"promotion": "Manual", "retainSeconds": 86400}
OLD, NEW = "sk_test_1", "sk_test_2"


@pytest.fixture
def world() -> World:
    """An environment with alternating roles, held releases and a retention of a day, that serves."""
    return copy.deepcopy(_served())


@cache
def _served() -> World:
    spec = copy.deepcopy(SPEC) | {"database": copy.deepcopy(DATABASE), "release": RELEASE}
    made = World(spec=spec, source=dict(SOURCE) | LOGINS)
    live(made, passes=40)
    return made


def live(world: World, *, passes: int = 300, until: Callable[[], Any] = lambda: False) -> None:
    turns.live(world, passes=passes, seconds=lambda again: min(again or 10, 10), until=until)


def leak(world: World, what: str) -> None:
    world.ask("rotate", secret=what, compromised=True)


def answer(world: World) -> str:
    live(world, passes=3)
    return f"{world.answer()['state']}: {world.answer()['message']}"


def promoted(world: World) -> None:
    """Take the release that is held through."""
    live(world, until=lambda: (world.status.get("candidate") or {}).get("step") == "Hold")
    world.ask("promote")


def one_revision_and_one_login(world: World) -> bool:
    logins = [role for role, (_, logs_in) in world.database.items() if logs_in]
    return len(world.populated()) == 1 and logins == [login_of(url_in_use(world)).role]


def passwords(world: World) -> set[str]:
    """Those that exist: of the record, and those that PostgreSQL takes."""
    record = world.observe().role_rotation
    known = [login.password for login in (record.current, record.next, record.former) if login] if record else []
    return {*known, *(password for password, logs_in in world.database.values() if logs_in)}


def test_a_leaked_password_is_replaced_without_hold_and_its_role_locked_without_retention(world: World) -> None:
    began = world.now
    leak(world, "database")
    live(world, until=lambda: world.database["app"][1] is False)
    assert world.now - began < timedelta(seconds=300)
    assert one_revision_and_one_login(world)


def preparing(world: World) -> bool:
    record = world.observe().role_rotation
    return record is not None and record.next is not None


def releasing(world: World) -> bool:
    return (world.status.get("candidate") or {}).get("step") == "Hold"


def retaining(world: World) -> bool:
    if releasing(world) and not world.asked:
        world.ask("promote")
    return bool(rotation(world)["state"] == "Retaining" and world.status["stable"] == 2)


@pytest.mark.parametrize("moment", [preparing, releasing, retaining])
def test_a_leak_that_is_told_during_a_rotation_replaces_every_password_that_was_there(
    world: World, moment: Callable[[World], bool]
) -> None:
    world.database_answers = moment is not preparing
    due(world)
    live(world, until=lambda: moment(world))
    assert moment(world)
    there, began = passwords(world) - {"admin-word", "owner-word"}, world.now
    leak(world, "database")
    assert answer(world).startswith("Done")
    world.database_answers = True
    live(world, until=lambda: not there & passwords(world) and one_revision_and_one_login(world))
    assert not there & passwords(world)
    assert one_revision_and_one_login(world)
    assert world.now - began < timedelta(seconds=900)
    record = world.observe().role_rotation
    assert record is not None
    assert not record.compromised
    assert not record.again


def test_a_leak_during_a_held_release_of_something_else_waits_for_a_person_and_says_so(world: World) -> None:
    world.change(image="registry/payments:2")
    live(world, until=lambda: releasing(world))
    leak(world, "database")
    assert "promote a release that is held, or put the spec back" in answer(world)
    live(world, passes=20)
    assert world.active() == "registry/payments:1"
    assert rotation(world)["message"] == "the next rotation waits for the release to end"
    world.ask("promote")
    live(
        world,
        passes=600,
        until=lambda: login_of(url_in_use(world)).role == "app_a" and one_revision_and_one_login(world),
    )
    assert login_of(url_in_use(world)).role == "app_a"
    assert world.active() == "registry/payments:2"


def test_the_former_role_is_locked_before_another_rotation_that_is_no_leak(world: World) -> None:
    due(world)
    live(world, until=lambda: retaining(world))
    world.ask("rotate", secret="database")
    live(world, passes=5)
    assert world.answer()["state"] == "Refused"
    assert "the former role to be locked" in world.answer()["message"]


def key_in_use(world: World) -> str:
    seen = world.observe()
    return seen.credentials(assign(seen, staged_of(seen)).active)["STRIPE_SECRET_KEY"]


def put(world: World, key: str) -> None:
    assert world.source is not None
    world.source["STRIPE_SECRET_KEY"] = key


def only_new_key(world: World) -> bool:
    return key_in_use(world) == NEW and len(world.populated()) == 1


def test_without_a_leak_a_new_key_is_held_and_the_old_one_retained(world: World) -> None:
    put(world, NEW)
    live(world, passes=100)
    assert key_in_use(world) == OLD
    promoted(world)
    live(world, passes=100)
    assert key_in_use(world) == NEW
    assert len(world.populated()) == 2


@pytest.mark.parametrize("first", ["the key", "the request"])
def test_a_leaked_key_is_replaced_without_hold_and_retention(world: World, first: str) -> None:
    if first == "the key":
        put(world, NEW)
        live(world, until=lambda: releasing(world))
    leak(world, "api-key")
    assert "without hold and retention" in answer(world)
    put(world, NEW)
    began = world.now
    live(world, until=lambda: only_new_key(world))
    assert only_new_key(world)
    assert world.now - began < timedelta(seconds=300)


def test_a_leak_that_is_told_after_the_release_ends_the_retention_of_the_old_key(world: World) -> None:
    put(world, NEW)
    promoted(world)
    live(world, passes=100, until=lambda: key_in_use(world) == NEW and world.status["stable"] == 2)
    leak(world, "api-key")
    assert "revision 1 is retained no longer; when its pods have ended, revoke its key, ending in st_1" in answer(world)
    live(world, passes=10, until=lambda: only_new_key(world))
    assert only_new_key(world)


def test_a_leaked_key_that_was_replaced_makes_the_next_change_no_faster(world: World) -> None:
    leak(world, "api-key")
    put(world, NEW)
    live(world, until=lambda: only_new_key(world))
    world.change(image="registry/payments:2")
    live(world, passes=100)
    assert releasing(world)
    assert world.active() == "registry/payments:1"


def test_an_image_that_is_released_before_the_new_key_is_there_is_held_and_the_key_still_is_not(world: World) -> None:
    leak(world, "api-key")
    live(world, passes=3)
    world.change(image="registry/payments:2")
    live(world, passes=100)
    assert releasing(world)
    world.ask("promote")
    live(world, passes=100, until=lambda: world.active() == "registry/payments:2" and world.status["stable"] == 2)
    put(world, NEW)
    live(world, until=lambda: only_new_key(world))
    assert only_new_key(world)


def test_a_leaked_key_takes_no_image_live_that_nobody_promoted_and_is_replaced_when_the_spec_is_back(
    world: World,
) -> None:
    world.change(image="registry/payments:2")
    live(world, until=lambda: releasing(world))
    leak(world, "api-key")
    assert "put it back to what revision 1 has" in answer(world)
    put(world, NEW)
    live(world, passes=100)
    assert world.active() == "registry/payments:1"
    assert releasing(world)
    assert "for that alone put the spec back to what revision 1 has" in world.status["candidate"]["waitingFor"]
    world.change(image="registry/payments:1")
    live(world, until=lambda: only_new_key(world))
    assert only_new_key(world)
    assert world.active() == "registry/payments:1"


def test_an_aborted_image_stays_away_when_a_password_leaks_and_the_spec_that_is_put_back_replaces_it(
    world: World,
) -> None:
    world.change(image="registry/payments:2")
    live(world, until=lambda: releasing(world))
    leak(world, "database")
    assert answer(world).startswith("Done")
    world.ask("abort")
    live(world, passes=200)
    assert world.active() == "registry/payments:1"
    world.change(image="registry/payments:1")
    live(world, until=lambda: one_revision_and_one_login(world) and world.database["app"][1] is False)
    assert one_revision_and_one_login(world)
    assert world.database["app"][1] is False
    assert world.active() == "registry/payments:1"


def test_asked_for_an_api_key_that_did_not_leak_it_says_that_a_person_makes_it(world: World) -> None:
    world.ask("rotate", secret="api-key")
    assert answer(world).startswith("Refused: Stripe has no call that makes an API key")


def test_a_leaked_key_is_not_retained_while_the_environment_is_suspended(world: World) -> None:
    put(world, NEW)
    promoted(world)
    live(world, passes=100, until=lambda: key_in_use(world) == NEW and world.status["stable"] == 2)
    world.change(suspend=True)
    leak(world, "api-key")
    live(world, passes=20)
    assert only_new_key(world)


def test_a_leak_keeps_its_haste_when_its_release_fails_and_another_rotation_is_asked_for(world: World) -> None:
    world.behave("registry/payments:1").exit_codes["smoke"] = 1
    leak(world, "database")
    live(world, until=lambda: rotation(world)["state"] == "Failed")
    world.behave("registry/payments:1").exit_codes.clear()
    began = world.now
    world.ask("rotate", secret="database")
    assert answer(world).startswith("Done")
    live(world, until=lambda: world.database["app"][1] is False)
    assert one_revision_and_one_login(world)
    assert world.now - began < timedelta(seconds=600)


def test_a_leak_that_is_told_again_is_another_one(world: World) -> None:
    leak(world, "database")
    assert answer(world).startswith("Done")
    live(world)
    used = login_of(url_in_use(world)).role
    leak(world, "database")
    assert answer(world).startswith("Done")
    live(world)
    assert login_of(url_in_use(world)).role != used
    assert one_revision_and_one_login(world)
