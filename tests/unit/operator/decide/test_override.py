"""Somebody else moves the selector, garbles the commit record or a release record: what is there counts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator import turns
from tests.unit.operator.world import OWNER, World

from payment_operator import names
from payment_operator.decide.placement import assign
from payment_operator.decide.rotation.staged_credentials import staged_of

FIRST, SECOND, THIRD = (f"registry/payments:{number}" for number in (1, 2, 3))
BY_HAND = {
    "manager": "kubectl-patch",
    "operation": "Update",
    "time": "2026-11-25T09:00:00Z",
    "fieldsV1": {"f:spec": {"f:selector": {}}},
}


def switched(policy: str | None = None, *, live: bool = False) -> World:
    """An environment in the retention after its second release."""
    world = World.serving()
    changes = {"onOverride": policy} if policy else {}
    if live:  # the schema forbids the change, not the types: keys of the world are test keys
        world.spec["stripe"] = world.spec["stripe"] | {"mode": "Live"}
        world.source = dict(world.source or {}) | {"STRIPE_SECRET_KEY": "sk_live_1"}
    world.change(image=SECOND, release=world.spec["release"] | changes)
    turns.live(world, passes=200, seconds=lambda _: 2, until=lambda: world.status["stable"] == 2)
    world.now += timedelta(seconds=2)
    assert world.active() == SECOND, world.status
    return world


def digest_of(world: World, number: int) -> str:
    return next(r.digest for r in world.observe().revisions.values() if r.number == number)


def select(world: World, selector: dict[str, str]) -> None:
    service = world.service()
    service["spec"]["selector"] = selector
    service["metadata"]["managedFields"] = [BY_HAND]


def to_blue(world: World) -> None:
    select(world, OWNER.selector(names.API, digest_of(world, 1)))


def pass_time(world: World, *, minutes: int = 20) -> None:
    """Time passes; at no moment is the Service without a ready pod."""

    def look() -> None:
        assert world.selected(world.service()["spec"]["selector"])

    turns.live(world, passes=minutes * 2, seconds=lambda _: 30, until=look)


@pytest.mark.parametrize("chosen", [{"policy": "Hold"}, {"live": True}])
def test_a_selector_moved_by_hand_stays_and_both_colours_are_kept(chosen: dict[str, Any]) -> None:
    world = switched(**chosen)
    to_blue(world)
    pass_time(world)
    assert world.service()["spec"]["selector"][names.LABEL_REVISION] == digest_of(world, 1)
    assert world.populated() == {digest_of(world, 1), digest_of(world, 2)}
    assert not any(drain for (_, path), drain in world.told.items() if path == "/drain")
    found = world.conditions()
    assert found["TrafficOverridden"]["status"] == "True"
    for said in ("revision 1", "revision 2", "kubectl-patch", "not a person", "onOverride"):
        assert said in found["TrafficOverridden"]["message"]
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "TrafficOverridden")
    assert found["Available"]["status"] == "True"
    assert world.status["active"]["revision"] == 1
    assert digest_of(world, 1) in world.status["selector"]


def test_a_release_waits_while_traffic_is_held_and_goes_on_when_the_selector_is_put_back() -> None:
    world = switched("Hold")
    to_blue(world)
    world.change(image=THIRD)
    pass_time(world)
    assert THIRD not in {revision.image for revision in world.observe().revisions.values()}
    select(world, OWNER.selector(names.API, digest_of(world, 2)))
    world.settle()
    assert world.active() == THIRD


def test_restore_puts_the_selector_back_and_does_not_fight() -> None:
    world = switched("Restore")
    to_blue(world)
    decision = world.operate()
    assert [event.reason for event in decision.events] == ["TrafficRestored"]
    assert world.service()["spec"]["selector"][names.LABEL_REVISION] == digest_of(world, 2)
    writes = 0
    for _ in range(30):  # another controller insists, for a minute
        to_blue(world)
        before = world.writes
        world.operate()
        writes += world.writes - before
        world.now += timedelta(seconds=2)
    assert writes <= 2


def test_nothing_is_restored_to_a_revision_without_a_ready_pod() -> None:
    world = switched("Restore")
    world.behave(SECOND).starts = False
    for pod in world.pods.values():
        if pod["metadata"]["labels"].get(names.LABEL_REVISION) == digest_of(world, 2):
            pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    to_blue(world)
    pass_time(world)
    assert world.service()["spec"]["selector"][names.LABEL_REVISION] == digest_of(world, 1)
    assert "no ready pod" in world.conditions()["TrafficOverridden"]["message"]


def test_adopt_makes_the_chosen_revision_the_active_one_and_releases_the_other_no_more() -> None:
    world = switched("Adopt")
    to_blue(world)
    pass_time(world)
    assert world.active() == FIRST
    found = world.conditions()
    assert found["TrafficOverridden"]["status"] == "False"
    assert found["Stalled"]["reason"] == "TrafficOverridden"
    assert world.populated() == {digest_of(world, 1)}
    world.ask("retry")
    world.settle()
    assert world.active() == SECOND


@pytest.mark.parametrize("policy", ["Hold", "Adopt"])
@pytest.mark.parametrize("selector", [{"app": "maintenance"}, {names.LABEL_ENVIRONMENT: "shop"}, {}])
def test_a_selector_that_names_no_revision_moves_nothing(policy: str, selector: dict[str, str]) -> None:
    world = switched(policy)
    select(world, selector)
    turns.live(world, passes=40, seconds=lambda _: 30)
    assert world.service()["spec"]["selector"] == selector
    assert len(world.populated()) == 2
    assert world.conditions()["TrafficOverridden"]["status"] == "True"
    behind = bool(world.selected(selector))
    assert world.conditions()["Available"]["status"] == str(behind)


@pytest.mark.parametrize("text", [None, "{", '{"to":"abcdabcd","at":"2026-11-25T00:00:00Z"}', '{"to":"","at":"x"}'])
def test_a_lost_or_garbled_commit_record_is_made_again_and_moves_nothing(text: str | None) -> None:
    world = switched()
    former = world.observe().cutover
    annotations = world.service()["metadata"]["annotations"]
    annotations.pop(names.ANNOTATION_CUTOVER)
    if text is not None:
        annotations[names.ANNOTATION_CUTOVER] = text
    pass_time(world, minutes=1)
    assert world.observe().cutover == former
    assert json.loads(world.service()["metadata"]["annotations"][names.ANNOTATION_CUTOVER])["to"] == digest_of(world, 2)
    assert world.conditions()["Ready"]["status"] == "True"
    world.settle()
    assert world.populated() == {digest_of(world, 2)}


def test_two_active_records_after_a_clock_step_are_told_apart_by_the_switch_and_not_by_the_clock() -> None:
    world = switched()
    blue = world.objects["ControllerRevision", names.revision("shop", digest_of(world, 1))]
    record = json.loads(blue["metadata"]["annotations"][names.ANNOTATION_RELEASE])
    record |= {"state": "Active", "activeAt": "2027-01-01T00:00:00Z"}
    blue["metadata"]["annotations"][names.ANNOTATION_RELEASE] = json.dumps(record)
    world.remove(("Service", "shop-api"))
    assert world.active() == SECOND
    world.settle()
    assert world.service()["spec"]["selector"][names.LABEL_REVISION] == digest_of(world, 2)
    assert world.observe().revisions[digest_of(world, 1)].record.state == "Replaced"


@pytest.mark.parametrize(
    "text",
    ['{"state":"Paused"}', '{"version":9,"state":"Active"}', "{", '{"state":"Active","activeAt":"yesterday"}'],
)
@pytest.mark.parametrize("number", [1, 2])
def test_a_record_that_this_version_does_not_know_is_left_alone(text: str, number: int) -> None:
    world = switched()
    name = names.revision("shop", digest_of(world, number))
    annotations = world.objects["ControllerRevision", name]["metadata"]["annotations"]
    annotations[names.ANNOTATION_RELEASE] = text
    world.change(image=THIRD)
    pass_time(world)
    assert annotations == world.objects["ControllerRevision", name]["metadata"]["annotations"]
    assert world.service()["spec"]["selector"][names.LABEL_REVISION] == digest_of(world, 2)
    assert len(world.populated()) == 2
    stalled = world.conditions()["Stalled"]
    assert (stalled["reason"], stalled["status"]) == ("RecordUnknown", "True")
    assert f"delete controllerrevision {name}" in stalled["message"]
    world.remove(("ControllerRevision", name))
    world.settle()
    assert world.active() == THIRD


def test_ready_asks_for_endpoints_and_not_for_records() -> None:
    world = switched()
    world.settle()
    seen = world.observe()
    nobody = {name: frozenset[str]() for name in seen.serving}
    for field, value in (("serving", nobody),):
        object.__setattr__(seen, field, value)
    decision = world.operate(seen=seen)
    found = world.conditions()
    assert (found["Ready"]["status"], found["Available"]["reason"]) == ("False", "NoReadyEndpoints")
    assert decision.again_after is not None
    assert decision.again_after <= 1
    assert assign(seen, staged_of(seen)).active is not None
