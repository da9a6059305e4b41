"""What pods with containers of others say, and what a drained node costs."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.turns import live
from tests.unit.operator.world import World

from payment_operator import names
from payment_operator.decide.placement import assign
from payment_operator.decide.release.jobs import ended
from payment_operator.decide.rotation.staged_credentials import staged_of
from payment_operator.model.pod import Pod, read_pod

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
JOB = "batch.kubernetes.io/job-name"
NAMES = ("a-proxy", "istio-proxy", "job", "linkerd-proxy", "worker", "zz")


def status(name: str, *, code: int | None = None, words: str = "", restarts: int = 0, at: str = "") -> dict[str, Any]:
    end = {"terminated": {"exitCode": code, "message": words, "finishedAt": at}}
    return {"name": name, "restartCount": restarts, "state": end if code is not None else {"running": {}}}


def pod(
    *statuses: dict[str, Any], component: str = "migrate", init: tuple[dict[str, Any], ...] = (), job: str = "plan"
) -> Pod:
    labels = {names.LABEL_COMPONENT: component} | ({JOB: job} if job else {})
    told = {"containerStatuses": list(statuses), "initContainerStatuses": list(init)}
    return read_pod({"metadata": {"name": "p", "uid": "u", "labels": labels}, "status": told})


@pytest.mark.parametrize("other", [name for name in NAMES if name != "job"])
@pytest.mark.parametrize("native", [True, False])
def test_a_job_s_answer_is_our_container_s(other: str, *, native: bool) -> None:
    own, foreign = status("job", code=4, words="drops a table"), status(other, code=0, words="bye", restarts=9)
    for order in ((own, foreign), (foreign, own)):
        seen = pod(own, init=(foreign,)) if native else pod(*order)
        assert (seen.exit_code, seen.last_words, seen.restarts) == (4, "drops a table", 0)
    unended = pod(status("job"), foreign)
    assert (unended.exit_code, unended.last_words, unended.running) == (None, "", True)


@pytest.mark.parametrize("component", [names.API, names.WORKER])
def test_restarts_of_others_are_not_the_release_s(component: str) -> None:
    others = [status(name, restarts=3) for name in NAMES if name != component]
    assert pod(status(component, restarts=1), *others, component=component, job="").restarts == 1
    assert pod(*others, component=component, job="").proof == "u:0"


def test_a_sidecar_that_never_ends_keeps_no_job_from_its_end() -> None:
    job: dict[str, Any] = {"metadata": {"name": "plan"}}
    at = (NOW - timedelta(seconds=10)).isoformat()
    sidecar = status("proxy")
    assert ended(job, [pod(status("job", code=0, at=at), sidecar)], now=NOW) is True
    failed = [pod(status("job", code=5, at=at), sidecar)]
    assert ended(job, failed, now=NOW) is None
    assert ended(job, failed, now=NOW + timedelta(seconds=30)) is False
    assert ended(job, [pod(status("job", code=5, at=at))], now=NOW + timedelta(hours=1)) is None
    assert ended(job, [pod(status("job", code=0, at=at), sidecar, job="other")], now=NOW) is None


def upto(world: World, step: str) -> None:
    for _ in range(60):
        world.operate()
        world.progress()
        if world.status.get("candidate", {}).get("step") == step:
            return
    raise AssertionError(world.status.get("candidate"))


def held(*, attempts: int = 1) -> World:
    world = World.serving()
    release = world.spec["release"] | {"promotion": "Manual", "smoke": {"attempts": attempts}}
    world.change(image="registry/payments:2", release=release)
    upto(world, "Hold")
    return world


def candidate_pods(world: World) -> list[str]:
    seen = world.observe()
    candidate = assign(seen, staged_of(seen)).candidate
    assert candidate is not None
    return [pod.name for pod in world.observe().of(candidate.digest, names.API)]


def test_pods_that_a_drain_moved_during_the_hold_are_proved_anew_and_cost_no_attempt() -> None:
    world = held()
    for name in candidate_pods(world):
        del world.pods[name]
    world.progress()
    world.ask("promote", 2)
    world.settle()
    assert world.active() == "registry/payments:2"


def test_a_proved_pod_that_restarted_costs_an_attempt() -> None:
    world = held()
    for name in candidate_pods(world):
        world.pods[name]["status"]["containerStatuses"][0]["restartCount"] = 1
    world.ask("promote", 2)
    world.settle()
    assert world.active() == "registry/payments:1"
    assert "restarted" in world.conditions()["Stalled"]["message"]


class Drained(World):
    """The pods of the first smoke runs are evicted until the Job's deadline."""

    evictions = 3

    def _end(self, name: str, item: dict[str, Any]) -> None:
        super()._end(name, item)
        if item["metadata"]["labels"][names.LABEL_STEP] == "smoke" and self.evictions:
            self.evictions -= 1
            seen = self.pods[f"{name}-pod"]["status"]
            seen["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
            seen["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 143, "message": ""}}
            item["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}


@pytest.mark.parametrize(("evictions", "image"), [(3, "registry/payments:1"), (1000, "")])
def test_a_smoke_job_that_a_drain_evicts_is_run_again_and_counts_as_nothing(evictions: int, image: str) -> None:
    world = Drained()
    world.evictions = evictions
    world.spec = copy.deepcopy(world.spec) | {"release": world.spec["release"] | {"smoke": {"attempts": 1}}}
    live(world, passes=80, seconds=lambda _: 5)
    assert world.active() == image
    made = [name for name in world.jobs_made if "smoke" in name]
    assert len(made) == (4 if image else 11)
