"""The plan of an image that is not released yet: the Job that asks it, and what its answer means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.unit.operator.plugin.objects import IMAGE, active, environment
from tests.unit.operator.world import OWNER

from payment_operator import names
from payment_operator.observe.cluster_state import read_spec
from payment_operator.plugin.errors import Refused
from payment_operator.plugin.planning import KEPT_SECONDS, job_of, read, refuse_stuck, waits_for
from payment_operator.resources import jobs
from payment_operator.resources.pods import manifests
from payment_service.migrations.history import Migration
from payment_service.migrations.runner import Plan

if TYPE_CHECKING:
    from payment_operator.plugin.kubectl import Object

NEXT = f"{IMAGE}:2.2.0"
OWNER_URL = {"urlSecretRef": {"name": "payments"}, "migrationUrlSecretRef": {"name": "payments"}}


def stored_pod(found: Object) -> Object:
    """The Job pod as the operator stores it with a revision."""
    stored = manifests(OWNER, read_spec(found), revision="9f3c1a2b", credentials="0123456789", replica=False)
    pod: Object = stored["job"]
    return pod


def made(**spec: Any) -> tuple[Object, Object]:
    """The plugin's Job, and the operator's own plan Job of the same pod."""
    found = environment(status={"active": active()}, **spec)
    pod, owner_role = stored_pod(found), "migrationUrlSecretRef" in found["spec"]["database"]
    ours = jobs.migration_job(
        OWNER, read_spec(found), step=jobs.PLAN, revision="9f3c1a2b", run=1, pod=pod, owner_role=owner_role
    )
    return job_of(found, pod, image=NEXT, seconds=90), ours


@pytest.mark.parametrize("database", [{"urlSecretRef": {"name": "payments"}}, OWNER_URL])
def test_the_job_is_the_operators_plan_of_another_image(database: Object) -> None:
    job, ours = made(database=database)
    pod, operators = job["spec"]["template"]["spec"], ours["spec"]["template"]["spec"]
    (container,), (operators_container,) = pod["containers"], operators["containers"]
    assert container["image"] == NEXT
    assert container["command"] == [*operators_container["command"], "--json"]
    assert {name: value for name, value in pod.items() if name != "containers"} == {
        name: value for name, value in operators.items() if name != "containers"
    }
    same = ("securityContext", "volumeMounts", "resources", "imagePullPolicy", "terminationMessagePolicy")
    assert {name: container[name] for name in same} == {name: operators_container[name] for name in same}
    settings, operators_settings = (
        {entry["name"] for entry in found["env"]} for found in (container, operators_container)
    )
    assert operators_settings - settings == {
        "PAYMENTS_TERMINATION_LOG",
        "PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS",
        "PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS",
    }


def test_the_job_is_nobodys_and_ends_by_itself() -> None:
    job, ours = made()
    assert "ownerReferences" not in job["metadata"]
    assert not {names.LABEL_STEP, names.LABEL_REVISION} & set(job["metadata"]["labels"])
    assert job["metadata"]["labels"][names.LABEL_COMPONENT] == ours["metadata"]["labels"][names.LABEL_COMPONENT]
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (
        0,
        90,
        KEPT_SECONDS,
    )


def test_two_plans_at_once_are_two_jobs_and_the_stored_pod_stays_as_it_is() -> None:
    found = environment(status={"active": active()})
    pod = stored_pod(found)
    one, two = (job_of(found, pod, image=NEXT, seconds=90)["metadata"]["name"] for _ in range(2))
    assert one != two
    assert len(one) <= 63
    assert pod == stored_pod(found)


def a_pod(phase: str, *, state: Object | None = None, **status: Any) -> Object:
    statuses = [{"name": "job", "state": state}] if state else []
    return {"metadata": {"name": "shop-plan-1"}, "status": {"phase": phase, "containerStatuses": statuses} | status}


def test_the_answer_is_found_among_other_lines() -> None:
    audit = Migration(number=4, phase="expand", summary="Audit log.", revision="0004", oldest_application=3)
    plan = Plan(current=3, target=4, pending=(audit,), runnable=(audit,), sql="CREATE TABLE audit ();", findings=())
    log = f'a warning\n{msgspec.json.encode(plan.as_json()).decode()}\n{{"level": "info"}}\n'
    said = read(log, a_pod("Succeeded"))
    assert said["pending"] == [{"number": 4, "phase": "expand", "summary": "Audit log."}]
    assert (said["current"], said["target"], said["findings"]) == (3, 4, [])


@pytest.mark.parametrize(
    ("log", "state", "says"),
    [
        ("warning\nanother migration is running: the lock is held; try again later\n", None, "the lock is held"),
        ("", {"terminated": {"reason": "StartError", "message": "payments: no such file"}}, "payments: no such file"),
        ("", {"terminated": {"reason": "OOMKilled"}}, "OOMKilled: it printed nothing"),
        ("", None, "it printed nothing"),
        ('{"pending": [', None, "pending"),
        ("[1]\n", None, "[1]"),
    ],
)
def test_an_image_without_an_answer_is_refused_with_its_last_words(log: str, state: Object | None, says: str) -> None:
    with pytest.raises(Refused, match="the image cannot be planned") as refused:
        read(log, a_pod("Failed", state=state))
    assert says in str(refused.value)


def test_the_end_of_another_container_is_not_the_plan_s() -> None:
    mine = {"terminated": {"reason": "OOMKilled"}}
    pod = a_pod("Failed", state=mine)
    pod["status"]["containerStatuses"].insert(0, {"name": "a-proxy", "state": {"terminated": {"reason": "Completed"}}})
    with pytest.raises(Refused, match="OOMKilled: it printed nothing"):
        read("", pod)


def test_an_evicted_pod_says_so() -> None:
    with pytest.raises(Refused, match="The node was low on memory"):
        read("", a_pod("Failed", reason="Evicted", message="The node was low on memory"))


def test_an_image_that_cannot_be_pulled_is_refused_at_once() -> None:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{NEXT}"'}}
    with pytest.raises(Refused, match="ImagePullBackOff: Back-off pulling image") as refused:
        refuse_stuck(a_pod("Pending", state=state))
    assert "--image REF" in refused.value.fix


@pytest.mark.parametrize("reason", ["ContainerCreating", "ErrImagePull"])
def test_a_pod_that_may_start_yet_is_waited_for(reason: str) -> None:
    refuse_stuck(a_pod("Pending", state={"waiting": {"reason": reason}}))


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        ([], "a quota or an admission rule may forbid it"),
        ([a_pod("Pending", state={"waiting": {"reason": "ContainerCreating"}})], "shop-plan-1: ContainerCreating"),
        ([a_pod("Running", state={"running": {}})], "shop-plan-1: Running"),
        (
            [a_pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: cpu"}])],
            "0/3 nodes: cpu",
        ),
    ],
)
def test_a_plan_that_takes_too_long_says_what_it_waits_for(pods: list[Object], says: str) -> None:
    assert says in waits_for(pods)
