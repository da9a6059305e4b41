"""A changed API key: released when it is good, refused with the reason when it is not, on a cluster in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.operator.turns import live
from tests.unit.operator.world import World

from payment_operator.resources.release_record import stamp

OLD, NEW = "sk_test_1", "sk_test_2"


@pytest.fixture
def world() -> World:
    """An environment that serves its first revision."""
    return World.serving()


def put(world: World, **values: str) -> None:
    assert world.source is not None
    world.source |= values


def key_in_use(world: World) -> str:
    seen = world.observe()
    (active,) = [r for r in seen.revisions.values() if seen.cutover and r.digest == seen.cutover.to]
    return seen.credentials(active)["STRIPE_SECRET_KEY"]


def rotation(world: World) -> dict[str, object]:
    return dict(world.status["rotation"]["apiKey"])


def events(world: World) -> list[str]:
    return [f"{event.reason}: {event.message}" for event in world.operate().events]


def test_a_good_key_becomes_a_version_and_is_released(world: World) -> None:
    put(world, STRIPE_SECRET_KEY=NEW)
    world.settle()
    assert key_in_use(world) == NEW
    assert world.status["active"] | {"since": ""} == world.status["active"] | {"since": "", "credentialsVersion": 2}
    assert rotation(world)["state"] == "Current"
    assert world.conditions()["SecretsValid"]["status"] == "True"


def test_after_the_bake_people_are_told_which_key_can_be_revoked(world: World) -> None:
    put(world, STRIPE_SECRET_KEY=NEW)
    decisions = live(world, passes=150, seconds=lambda again: again or 30)
    told = [event.message for made in decisions for event in made.events if event.reason == "OldKeyReplaced"]
    assert len(told) == 1
    assert "ending in st_1, can be revoked" in told[0]
    assert rotation(world)["revocable"] == "st_1"


@pytest.mark.parametrize("reason", ["Malformed", "OtherMode", "OtherAccount", "Revoked", "MissingPermission"])
def test_a_refused_key_changes_nothing_and_says_why(world: World, reason: str) -> None:
    world.verdicts[NEW] = ("Refused", reason)
    put(world, STRIPE_SECRET_KEY=NEW)
    first = events(world)
    world.settle()
    assert key_in_use(world) == OLD
    assert world.status["active"]["revision"] == 1
    assert world.conditions()["SecretsValid"] | {"x": 0} == world.conditions()["SecretsValid"] | {
        "x": 0,
        "status": "False",
        "reason": reason,
    }
    assert world.conditions()["Ready"]["reason"] == "KeyRefused"
    assert world.conditions()["Available"]["status"] == "True"
    assert rotation(world)["state"] == "Refused"
    assert rotation(world)["pending"]["reason"] == reason  # type: ignore[index]
    assert [text for text in first if text.startswith("KeyRefused")]
    assert not [text for text in events(world) if text.startswith("KeyRefused")]


def test_a_refused_key_does_not_stop_an_image(world: World) -> None:
    world.verdicts[NEW] = ("Refused", "Revoked")
    put(world, STRIPE_SECRET_KEY=NEW)
    world.change(image="registry/payments:2")
    world.settle()
    assert world.active() == "registry/payments:2"
    assert key_in_use(world) == OLD


def test_an_outage_of_stripe_is_no_refusal(world: World) -> None:
    world.verdicts[NEW] = ("Unknown", "StripeUnavailable")
    put(world, STRIPE_SECRET_KEY=NEW)
    world.settle()
    assert key_in_use(world) == OLD
    assert world.conditions()["SecretsValid"]["status"] == "Unknown"
    assert rotation(world)["state"] == "Unknown"
    del world.verdicts[NEW]
    world.settle()
    assert key_in_use(world) == NEW


def test_a_key_that_is_taken_back_ends_the_refusal(world: World) -> None:
    world.verdicts[NEW] = ("Refused", "Revoked")
    put(world, STRIPE_SECRET_KEY=NEW)
    world.settle()
    put(world, STRIPE_SECRET_KEY=OLD)
    world.settle()
    assert world.conditions()["Ready"]["status"] == "True"
    assert "pending" not in rotation(world)


def test_a_refused_key_stops_the_first_revision() -> None:
    world = World(verdicts={OLD: ("Refused", "Revoked")})
    world.settle()
    assert not world.active()
    assert world.conditions()["SecretsValid"]["reason"] == "Revoked"


def test_an_outage_does_not_stop_the_first_revision() -> None:
    world = World(verdicts={OLD: ("Unknown", "StripeUnavailable")})
    world.settle()
    assert world.active()


def test_a_verdict_that_is_lost_during_the_release_does_not_end_it(world: World) -> None:
    put(world, STRIPE_SECRET_KEY=NEW)
    for _ in range(8):
        world.operate()
        world.progress()
    assert world.status["candidate"]["revision"] == 2
    world.verdicts[NEW] = ("Unknown", "StripeUnavailable")
    world.settle()
    assert key_in_use(world) == NEW
    assert len(world.observe().revisions) == 2


def test_changes_that_come_together_are_one_version(world: World) -> None:
    world.settled = False
    for change in (
        {"STRIPE_SECRET_KEY": NEW},
        {"REDIS_URL": "redis://other:6379"},
        {"DATABASE_URL": "postgresql://b@db"},
    ):
        put(world, **change)
        for _ in range(3):
            world.operate()
            world.progress()
        assert world.status["active"]["revision"] == 1
        assert len(world.observe().revisions) == 1
    world.settled = True
    world.settle()
    assert world.status["active"]["revision"] == 2
    assert world.status["active"]["credentialsVersion"] == 2
    assert key_in_use(world) == NEW


def test_what_has_begun_waits_for_no_silence(world: World) -> None:
    put(world, STRIPE_SECRET_KEY=NEW)
    for _ in range(5):
        world.operate()
        world.progress()
    world.settled = False  # as after a restart of the operator
    for _ in range(5):
        world.operate()
    assert world.status["candidate"]["revision"] == 2


def test_the_age_of_a_key_is_counted_from_its_first_version(world: World) -> None:
    began = rotation(world)["rotatedAt"]
    put(world, REDIS_URL="redis://other:6379")
    world.settle()
    assert rotation(world)["rotatedAt"] == began
    world.now += timedelta(days=3)
    before = world.now
    put(world, STRIPE_SECRET_KEY=NEW)
    world.settle()
    assert str(rotation(world)["rotatedAt"]) >= stamp(before)
