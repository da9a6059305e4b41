"""Every wait ends: Jobs and answers that vanish, endpoints that never come, replicas that are none."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.unit.operator import turns
from tests.unit.operator.driven import Driven, Store
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.errors import OperatorError, Refused

NEW = "registry/payments:2"
QUOTA = 'pods "x" is forbidden: exceeded quota: team, requested: limits.memory=256Mi'


def live(world: World, *, passes: int, seconds: int = 30) -> None:
    turns.live(world, passes=passes, seconds=lambda _: seconds)


class Vanishing(World):
    """Jobs of these steps are removed when they end."""

    steps: tuple[str, ...] = ()

    def progress(self) -> None:
        super().progress()
        for (kind, name), item in list(self.objects.items()):
            if kind == "Job" and item.get("status") and item["metadata"]["labels"][names.LABEL_STEP] in self.steps:
                self.remove((kind, name))


@pytest.mark.parametrize("step", ["plan", "smoke"])
def test_a_job_that_is_always_gone_is_made_five_times(step: str) -> None:
    world = Vanishing()
    world.steps = (step,)
    live(world, passes=100)
    assert len([name for name in world.jobs_made if f"-{step}-" in name]) == 5
    stalled = world.conditions()["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "JobVanished")
    assert "ttlSecondsAfterFinished" in stalled["message"]
    world.steps = ()
    world.ask("retry")
    live(world, passes=60)
    assert world.active() == "registry/payments:1"


class Talking(World):
    """A second container ends beside the Job's own, after it in the list."""

    def __init__(self, own: dict[str, Any]) -> None:
        super().__init__()
        self.own = own

    def _end(self, name: str, item: dict[str, Any]) -> None:
        super()._end(name, item)
        statuses = self.pods[f"{name}-pod"]["status"]["containerStatuses"]
        statuses[0] |= self.own
        statuses.append({"name": "proxy", "restartCount": 7, "state": {"terminated": {"exitCode": 0, "message": ""}}})


def test_the_answer_is_our_container_s() -> None:
    world = Talking({})
    live(world, passes=60)
    assert world.active() == "registry/payments:1"


def test_a_plan_that_never_answers_is_given_up() -> None:
    world = Talking({"state": {"terminated": {"exitCode": 0, "message": ""}}})
    live(world, passes=100)
    assert len(world.jobs_made) == 5
    assert world.conditions()["Stalled"]["reason"] == "PlanUnread"


@pytest.mark.parametrize("mode", ["Overlap", "Atomic"])
def test_an_environment_of_no_replicas_takes_one_image_after_the_other(mode: str) -> None:
    world = World.serving()
    cutover = {"mode": mode, "overlapSeconds": 10}
    world.change(replicas=0, release=world.spec["release"] | {"cutover": cutover})
    world.settle()
    for image in (NEW, "registry/payments:3"):
        world.change(image=image)
        live(world, passes=60)
        assert world.active() == image
        assert names.LABEL_REVISION in world.service()["spec"]["selector"]
        assert world.conditions()["Ready"]["status"] == "True"


async def test_services_that_are_refused_end_the_release_with_the_cause() -> None:
    invalid = Refused(422, "Invalid", "a DNS-1035 label must consist of lower case characters")

    def refuse(_: str, kind: str, __: str) -> OperatorError | None:
        return invalid if kind == "Service" else None

    world = World()
    driven = Driven(world, store=Store(world, refuse))
    assert not await driven.passes(60, seconds=30)
    stalled = world.conditions()["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "ProgressDeadlineExceeded")
    assert "DNS-1035" in stalled["message"]


def test_a_candidate_that_is_unready_after_its_deploy_is_given_up() -> None:
    world = World.serving()
    world.change(image=NEW)
    for _ in range(40):
        world.operate()
        world.progress()
        candidate = world.status.get("candidate") or {}
        if candidate.get("step") in {"Deploy", "Smoke"} and candidate.get("readyReplicas"):
            break
    world.behave(NEW).starts = False
    for name, pod in world.pods.items():
        if pod["metadata"]["labels"][names.LABEL_REVISION] == candidate["hash"]:
            world.pods[name]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    live(world, passes=40)
    assert world.conditions()["Stalled"]["status"] == "True"
    assert world.active() == "registry/payments:1"


def test_pods_on_a_lost_node_end_the_release_and_not_the_operator() -> None:
    world = World.serving()
    world.change(image=NEW)
    world.settle()
    world.change(image="registry/payments:3")
    ghost = copy.deepcopy(next(pod for name, pod in world.pods.items() if "-api-" in name))
    ghost["metadata"] |= {"name": "ghost", "uid": "ghost", "deletionTimestamp": "2026-11-25T00:00:00Z"}
    ghost["metadata"]["labels"][names.LABEL_REVISION] = "0123abcd"
    world.pods["ghost"] = ghost
    live(world, passes=60)
    stalled = world.conditions()["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "ProgressDeadlineExceeded")
    assert "ghost" in stalled["message"], "it names the pod"


class Unscheduled(World):
    """Pods of Jobs, or of the new Deployments, are not admitted."""

    full = ""

    def _end(self, name: str, item: dict[str, Any]) -> None:
        if self.full != "Job":
            super()._end(name, item)

    def _scale(self, name: str, item: dict[str, Any]) -> None:
        if self.full == "Deployment" and item["spec"]["template"]["spec"]["containers"][0]["image"] == NEW:
            failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}
            item["status"] = {"conditions": [failure]}
            return
        super()._scale(name, item)


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
async def test_a_quota_on_pods_is_named_while_it_holds_a_release_up_and_after(kind: str) -> None:
    world = Unscheduled()
    driven = Driven(world)
    await driven.passes(80)
    world.full = kind
    world.change(image=NEW)
    await driven.passes(6)
    told = {"reason": "FailedCreate", "message": QUOTA, "lastTimestamp": "2026-11-25T00:00:00Z"}
    for (made, _), item in world.objects.items():
        if made == "Job" and not item.get("status"):
            driven.store.warnings.append(told | {"involvedObject": {"uid": item["metadata"]["uid"]}})
    await driven.passes(6)
    candidate = world.status["candidate"]
    assert QUOTA in candidate["cause"]
    assert QUOTA in candidate["waitingFor"]
    assert candidate["deadline"]
    assert not await driven.passes(60, seconds=30)
    stalled = world.conditions()["Stalled"]
    assert stalled["status"] == "True"
    assert QUOTA in stalled["message"]
    assert len(driven.told("Waiting")) == 1, "once, not in every pass"
    assert QUOTA in driven.told("Waiting")[0]
    assert world.active() == "registry/payments:1"
