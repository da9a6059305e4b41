"""The chart's operator mode on a real cluster: install, upgrade in the middle of a release, uninstall."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster import environment
from tests.cluster.chart.release import Release, helm
from tests.cluster.plugin.person import Person
from tests.requirements import require

from payment_operator.plugin.complaints import RESOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.environment import Cluster

pytestmark = [
    pytest.mark.timeout(1500),  # the images may have to be built first
    pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes minutes: make soak-plugin"),
]
OWNED = "deployments,services,jobs,secrets,configmaps,controllerrevisions,horizontalpodautoscalers,poddisruptionbudgets"
ENVIRONMENT = "payments.leanconstruction.io/environment"
NO_WAIT = "--wait=hookOnly"
"""With --wait Helm 4 waits for the environment's Ready, so for the end of its release."""
HERE_ALREADY = "--force-conflicts"
"""Other tests have installed the kind with kubectl, the loop of a GitOps tool applies all with it; Helm 4 applies
server-side and would not take over what kubectl manages."""
MANAGED = "app.kubernetes.io/managed-by=payment-operator"
QUICK = {
    "promotion": "Manual",
    "previewReplicas": 1,
    "smoke": {"timeoutSeconds": 300, "attempts": 5},
    "cutover": {"overlapSeconds": 1},
    "bake": {"seconds": 3, "intervalSeconds": 1},
    "retainSeconds": 30,
}


@pytest.fixture(scope="module")
def release(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    """The chart in operator mode; its first release is promoted by nobody, for nothing serves yet."""
    require(helm(4).exists(), what="Helm 4", command="make cluster-tools")
    namespace = environment.new_namespace(cluster, images=images)
    namespace.create()
    repository, _, tag = images["operator"].rpartition(":")
    operator = {
        "enabled": True,
        "replicas": 1,
        "image": {"repository": repository, "tag": tag},
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}},
        "spec": {"release": QUICK | {"promotion": "Auto"}},
    }
    made = Release(namespace, values={"operator": operator, "config": {"databasePoolSize": 4}})
    try:
        namespace.servers()
        made.prepare()
        made.install(HERE_ALREADY)
        yield made
    finally:
        made.helm("uninstall", made.name, check=False)
        namespace.remove()


@pytest.fixture(scope="module")
def person(release: Release, folder: Path) -> Person:
    """A person in front of the installed environment, which serves."""
    made = Person(namespace=release.namespace, folder=folder)
    assert "Revision 1 serves" in made.type("status", release.fullname, "-w", "--timeout", "900s")
    return made


def owned(release: Release) -> dict[str, Any]:
    """What the operator owns, as far as a writer could change it."""
    found = json.loads(release.namespace.kubectl("get", OWNED, f"--selector={MANAGED}", "--output=json"))["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": (item["metadata"]["uid"], item.get("spec"), item.get("data"))
        for item in found
    }


def test_the_chart_installs_an_operator_that_serves(release: Release, person: Person) -> None:
    found = person.look()
    assert found["state"] == "Settled"
    assert release.pods("api")
    said = release.helm("test", release.name, "--logs", "--timeout", "120s")
    assert "ok   webhook" in said, said


def test_helm_changes_nothing_of_the_operators_in_the_middle_of_a_release(release: Release, person: Person) -> None:
    release.values["config"]["databasePoolSize"] = 5
    release.values["operator"]["spec"]["release"] = QUICK
    release.upgrade(NO_WAIT)
    person.type("status", "-w", "--until", "hold", "--timeout", "900s")
    revision = person.look()["revision"]
    before = owned(release)
    release.upgrade(NO_WAIT)
    manifest = release.helm("get", "manifest", release.name)
    for _ in range(5):  # as a GitOps tool does
        release.namespace.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
        time.sleep(1)
    assert owned(release) == before
    assert (person.look()["state"], person.look()["revision"]) == ("Waiting", revision)
    person.type("promote", "--revision", str(revision), "-w", "--timeout", "900s")
    assert person.look()["sides"][0]["revision"] == revision


def test_a_pause_survives_an_upgrade(release: Release, person: Person) -> None:
    person.type("pause")
    release.upgrade(NO_WAIT, HERE_ALREADY)
    stored = json.loads(release.namespace.kubectl("get", RESOURCE, release.fullname, "--output=json"))
    assert stored["spec"]["suspend"] is True
    person.type("resume")


def test_an_upgrade_leaves_no_job_and_no_right_behind(release: Release, person: Person) -> None:
    release.upgrade(NO_WAIT, HERE_ALREADY)
    name = f"{release.fullname}-operator-crd"
    left = release.namespace.kubectl("get", "jobs,serviceaccounts", "--output=name")
    assert name not in left
    roles = release.namespace.cluster.kubectl("get", "clusterroles,clusterrolebindings", "--output=name")
    assert f"{release.namespace.name}-{name}" not in roles
    assert person.look()["state"] in {"Settled", "Releasing", "Waiting"}


def test_uninstalling_leaves_nothing_stuck_and_keeps_the_kind(release: Release, person: Person) -> None:
    assert person.look()["sides"]
    release.helm("uninstall", release.name, "--wait", "--timeout", "180s")
    gone = release.namespace.until(lambda: not owned(release), seconds=120)
    assert gone, owned(release)
    release.namespace.cluster.kubectl("get", "crd", RESOURCE)
    assert RESOURCE not in release.namespace.kubectl("get", RESOURCE, "--output=name", "--ignore-not-found")
    kept = release.namespace.kubectl("get", "secret", "payments", "--output=name")
    assert kept.strip() == "secret/payments"
    release.install(HERE_ALREADY)
    assert "Revision 1 serves" in person.type("status", release.fullname, "-w", "--timeout", "900s")
