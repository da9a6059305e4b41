"""Releases from the first apply to the end of the old revision, step by step, on a cluster in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.turns import live
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.model.observed import Probe

FIRST, SECOND, THIRD = (f"registry/payments:{number}" for number in (1, 2, 3))


@pytest.fixture
def world() -> World:
    """An environment that serves its first revision."""
    made = World.serving()
    assert made.active() == FIRST
    return made


def release(world: World, **changes: Any) -> None:
    world.change(image=SECOND, **changes)


def steps(world: World, *, until: int = 150) -> list[str]:
    """The steps that the status has shown, in their order."""
    shown: list[str] = []

    def look() -> None:
        step = (world.status.get("candidate") or {}).get("step", "")
        if step and step != (shown or [""])[-1]:
            shown.append(step)

    live(world, passes=until, seconds=lambda again: again or 30, until=look)
    return shown


def test_the_first_revision_is_ready_without_a_bake(world: World) -> None:
    assert world.conditions()["Ready"]["status"] == "True"
    assert world.status["active"]["revision"] == 1
    assert world.status["stable"] == 1
    assert ("HorizontalPodAutoscaler", "shop-api") in world.objects


def test_a_settled_environment_is_not_written(world: World) -> None:
    before = world.writes
    status = world.status
    for _ in range(5):
        world.now += timedelta(seconds=60)
        world.operate()
    assert world.writes == before
    assert world.status == status


def test_a_release_goes_through_its_steps(world: World) -> None:
    world.behave(SECOND).plan |= {"pending": [{"number": 3, "phase": "expand", "summary": "x"}], "runnable": [3]}
    release(world)
    assert steps(world) == ["Plan", "Expand", "Deploy", "Smoke", "Scale", "CutOver", "Bake", "Retire"]
    assert world.active() == SECOND
    assert world.status["stable"] == 2
    assert len(world.populated()) == 1


def test_the_service_selects_both_and_then_only_the_new_one(world: World) -> None:
    release(world)
    selectors: list[str] = []

    def look() -> None:
        selector = world.service()["spec"]["selector"].get(names.LABEL_REVISION, "both")
        if selector not in selectors:
            selectors.append(selector)

    live(world, passes=80, seconds=lambda again: again or 30, until=look)
    assert len(selectors) == 3
    assert selectors[1] == "both"


def test_atomic_needs_no_union(world: World) -> None:
    release(world, release=world.spec["release"] | {"cutover": {"mode": "Atomic"}})
    for _ in range(100):
        world.operate()
        assert names.LABEL_REVISION in world.service()["spec"]["selector"]
        world.progress()
    assert world.active() == SECOND


def test_manual_promotion_waits_for_its_revision(world: World) -> None:
    release(world, release=world.spec["release"] | {"promotion": "Manual"})
    world.settle()
    assert world.active() == FIRST
    assert world.status["candidate"]["step"] == "Hold"
    world.ask("promote", 7)
    world.settle()
    assert world.answer()["state"] == "Refused"
    assert world.active() == FIRST
    world.ask("promote", 2)
    world.settle()
    assert world.answer()["state"] == "Done"
    assert world.active() == SECOND


@pytest.mark.parametrize(
    ("step", "code", "reason"),
    [
        ("plan", 4, "DestructiveMigration"),
        ("plan", 5, "SchemaUnsupported"),
        ("plan", 8, "DatabaseTaken"),
        ("smoke", 8, "DatabaseTaken"),
        ("expand", 1, "MigrationFailed"),
        ("smoke", 1, "SmokeFailed"),
    ],
)
def test_a_job_that_fails_ends_the_release_and_leaves_traffic_alone(
    world: World, step: str, code: int, reason: str
) -> None:
    behaviour = world.behave(SECOND)
    behaviour.exit_codes[step] = code
    behaviour.words = "could not reach postgresql://app:secret-word@db/payments"
    behaviour.plan |= {"pending": [{"number": 3, "phase": "expand", "summary": "x"}], "runnable": [3]}
    release(world)
    world.settle()
    assert world.active() == FIRST
    assert world.conditions()["Stalled"]["reason"] == reason
    assert world.conditions()["Available"]["status"] == "True"
    assert len(world.populated()) == 1
    assert "secret-word" not in str(world.status)
    made = list(world.jobs_made)
    world.now += timedelta(days=1)
    world.settle()
    assert world.jobs_made == made


def test_pods_that_never_become_ready_end_the_release(world: World) -> None:
    world.behave(SECOND).starts = False
    release(world)
    world.settle()
    assert world.status["failed"][0]["reason"] == "ProgressDeadlineExceeded"
    assert "no such image" in world.status["failed"][0]["message"]
    assert len(world.populated()) == 1


def test_a_failed_revision_is_tried_again_only_when_asked(world: World) -> None:
    world.behave(SECOND).exit_codes["smoke"] = 1
    release(world)
    world.settle()
    world.change(image=FIRST)
    world.settle()
    world.change(image=SECOND)
    world.settle()
    assert world.active() == FIRST
    world.behave(SECOND).exit_codes.clear()
    world.ask("retry")
    world.settle()
    assert world.active() == SECOND
    assert len(world.jobs_made) == len(set(world.jobs_made))


def test_errors_under_real_traffic_bring_the_old_revision_back(world: World) -> None:
    world.behave(SECOND).breach = "300 ‰ of answers were 5xx"
    release(world)
    world.settle()
    assert world.active() == FIRST
    assert world.status["failed"][0]["reason"] == "BakeFailed"
    assert world.conditions()["Ready"]["reason"] == "BakeFailed"
    assert len(world.populated()) == 1


@pytest.mark.parametrize(
    ("probe", "own", "blocker"),
    [
        (Probe(schema_supported=False), Probe(), "schema no longer supports"),
        (Probe(stripe=False), Probe(stripe=True), "Stripe does not accept"),
    ],
)
def test_a_blocked_way_back_is_refused_with_the_reason(world: World, probe: Probe, own: Probe, blocker: str) -> None:
    first = world.observe().cutover
    assert first is not None
    release(world, release=world.spec["release"] | {"bake": {"seconds": 3600}})
    while world.active() != SECOND:
        world.operate()
        world.progress()
        world.now += timedelta(seconds=1)
    second = world.observe().cutover
    assert second is not None
    world.probes = {first.to: probe, second.to: own}
    world.ask("rollback")
    for _ in range(30):
        world.operate()
        world.now += timedelta(seconds=1)
    assert world.answer()["state"] == "Refused"
    assert blocker in world.answer()["message"]
    assert world.status["previous"]["rollbackable"] is False
    assert world.active() == SECOND


def test_both_unreachable_is_no_reason_against_going_back(world: World) -> None:
    release(world, release=world.spec["release"] | {"bake": {"seconds": 3600}})
    while world.active() != SECOND:
        world.operate()
        world.progress()
        world.now += timedelta(seconds=1)
    world.probes = dict.fromkeys(world.observe().revisions, Probe(stripe=False))
    world.ask("rollback")
    world.settle()
    assert world.active() == FIRST
    assert world.status["failed"][0]["reason"] == "RolledBack"


def test_a_rollback_to_a_revision_without_pods_releases_it_again(world: World) -> None:
    release(world)
    world.settle()
    assert world.active() == SECOND
    world.ask("rollback", 1)
    world.settle()
    assert world.active() == FIRST
    assert world.answer()["state"] == "Done"
    assert any("plan" in job and job.endswith("-a2") for job in world.jobs_made)
    world.change(image=THIRD)
    world.settle()
    assert world.active() == THIRD


def test_a_new_spec_before_the_switch_supersedes(world: World) -> None:
    release(world, release=world.spec["release"] | {"promotion": "Manual"})
    world.settle()
    world.change(image=THIRD)
    world.settle()
    assert world.status["candidate"]["image"] == THIRD
    assert world.active() == FIRST
    assert len(world.populated()) == 2
    world.ask("promote", 3)
    world.settle()
    assert world.active() == THIRD


def test_a_new_spec_in_the_bake_waits(world: World) -> None:
    release(world)
    while world.active() != SECOND:
        world.operate()
        world.progress()
        world.now += timedelta(seconds=1)
    world.change(image=THIRD)
    for _ in range(20):
        world.operate()
        world.progress()
    assert "3" not in {str(revision.number) for revision in world.observe().revisions.values()}
    world.settle()
    assert world.active() == THIRD


def test_suspend_stops_before_the_next_step_and_repairs_go_on(world: World) -> None:
    world.change(suspend=True)
    release(world)
    world.remove(("ConfigMap", "shop-worker"))
    world.settle()
    assert world.active() == FIRST
    assert ("ConfigMap", "shop-worker") in world.objects
    assert world.conditions()["Suspended"]["status"] == "True"
    assert world.conditions()["Ready"]["status"] == "False"
    assert world.conditions()["Available"]["status"] == "True"
    assert (
        world.conditions()["Reconciling"]["message"] == "a new revision: Validate, waiting for spec.suspend to be false"
    )
    assert "candidate" not in world.status
    world.change(suspend=False)
    world.settle()
    assert world.active() == SECOND


def test_contract_runs_only_without_older_pods(world: World) -> None:
    pending = [
        {"number": 3, "phase": "expand", "summary": "x"},
        {"number": 4, "phase": "contract", "summary": "y"},
    ]
    world.behave(SECOND).plan |= {"pending": pending, "runnable": [3]}
    release(world)
    for _ in range(120):
        decision = world.operate()
        contracts = [job for job in world.jobs_made if "-contract-" in job]
        assert not contracts or len(world.populated()) == 1
        world.progress()
        world.now += timedelta(seconds=decision.again_after or 30)
    assert len([job for job in world.jobs_made if "-contract-" in job]) == 1
    assert not world.status["migration"].get("contractPending")


def test_the_workers_claim_where_traffic_goes(world: World) -> None:
    release(world)
    while world.active() != SECOND:
        world.operate()
        world.progress()
        world.now += timedelta(seconds=1)
    for _ in range(40):
        world.operate()
        world.now += timedelta(seconds=1)
    seen = world.observe()
    active = seen.cutover.to if seen.cutover else ""
    claims = {
        pod.revision: world.told[pod.uid, "/worker"] for pod in seen.pods if pod.component == "worker" and not pod.job
    }
    drains = {
        pod.revision: world.told[pod.uid, "/drain"] for pod in seen.pods if pod.component == "api" and not pod.job
    }
    assert len(claims) == 2
    assert {revision for revision, on in claims.items() if on} == {active}
    assert {revision for revision, on in drains.items() if not on} == {active}
    assert world.objects["ConfigMap", "shop-worker"]["data"] == {r: str(r == active).lower() for r in claims}


def test_replicas_change_without_a_release(world: World) -> None:
    world.change(replicas=5)
    world.settle()
    assert len(world.observe().revisions) == 1
    assert len(world.selected(world.service()["spec"]["selector"])) == 5


def test_missing_and_wrong_secrets_are_named_and_live_pods_stay(world: World) -> None:
    assert world.source is not None
    world.source["STRIPE_SECRET_KEY"] = "sk_live_1"
    release(world)
    world.settle()
    assert "sk_test_" in world.conditions()["SecretsValid"]["message"]
    assert world.conditions()["Stalled"]["reason"] == "KeyRefused"
    assert world.active() == SECOND  # with the key in use
    world.source = None
    world.settle()
    assert "Secret payments does not exist" in world.conditions()["Stalled"]["message"]
    assert world.active() == SECOND


def test_lost_credentials_are_told_and_a_new_version_takes_over(world: World) -> None:
    (name,) = [name for kind, name in world.objects if kind == "Secret" and "-credentials-" in name]
    assert world.source is not None
    world.source["REDIS_URL"] = "redis://other:6379"
    world.remove(("Secret", name))
    world.operate()
    assert world.conditions()["Stalled"]["reason"] == "CredentialsLost"
    world.settle()
    assert world.status["active"]["revision"] == 2
    assert world.conditions()["Stalled"]["status"] == "False"


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ConfigMap", "ControllerRevision", "PodDisruptionBudget"])
def test_a_deleted_object_is_made_again(world: World, kind: str) -> None:
    lost = [key for key in world.objects if key[0] == kind]
    for key in lost:
        world.remove(key)
        world.settle()
        assert key in world.objects
    assert world.active() == FIRST
    assert world.status["active"]["revision"] == 1
    assert world.conditions()["Ready"]["status"] == "True"


def test_history_is_limited(world: World) -> None:
    world.change(release=world.spec["release"] | {"revisionHistoryLimit": 2})
    for number in range(2, 8):
        world.change(image=f"registry/payments:{number}")
        world.settle()
    assert len(world.observe().revisions) == 3
    assert world.status["active"]["revision"] == 7


FIVE = [{"number": number, "phase": "expand", "summary": "adds"} for number in range(1, 5)]
LAST = {"number": 5, "phase": "contract", "summary": "drops"}


@pytest.mark.parametrize("words", ["", '{"granted":[]}', '{"current":0,"target":4,"pending":[],"runnable":[1,2,3,4]}'])
def test_the_status_shows_the_schema_that_is_and_what_is_pending_now(world: World, words: str) -> None:
    behaviour = world.behave(SECOND)
    behaviour.words = words
    behaviour.plan |= {"current": 0, "target": 4, "pending": [*FIVE, LAST], "runnable": [1, 2, 3, 4]}
    release(world, migrations={"contractPolicy": "Never"})
    world.settle()
    shown = world.status["migration"]
    assert (shown["current"], shown["pending"], shown["contractPending"]) == ("4", ["5 contract: drops"], True)
    world.change(migrations={})
    world.settle()
    shown = world.status["migration"]
    assert (shown["current"], shown.get("pending"), shown.get("contractPending")) == ("5", None, None)


def test_the_schema_shown_is_what_a_failed_release_has_left(world: World) -> None:
    behaviour = world.behave(SECOND)
    behaviour.exit_codes["smoke"] = 1
    behaviour.plan |= {"current": 2, "target": 4, "pending": FIVE[2:], "runnable": [3, 4]}
    release(world)
    world.settle()
    assert world.active() == FIRST
    assert world.status["migration"]["current"] == "4"
