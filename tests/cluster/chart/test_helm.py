"""Helm 3 installs and upgrades the chart as Helm 4 does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.cluster import environment
from tests.cluster.chart.release import Release, helm
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Cluster

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def third(cluster: Cluster, images: dict[str, str]) -> Iterator[Release]:
    """A release made by Helm 3, in a namespace of its own: a database is of one environment."""
    require(helm(3).exists(), what="Helm 3", command="make cluster-tools")
    namespace = environment.new_namespace(cluster, images=images)
    namespace.create()
    one = {"autoscaling": {"minReplicas": 1, "maxReplicas": 2}}
    made = Release(namespace, name="three", version=3, values={"api": one, "worker": one})
    try:
        namespace.servers()
        made.prepare()
        yield made
    finally:
        made.helm("uninstall", made.name, check=False)
        namespace.remove()


def test_helm_3_installs_upgrades_and_tests_it(third: Release) -> None:
    assert third.helm("version", "--short").startswith("v3.")
    third.install()
    assert "ok   canceled" in third.helm("test", third.name, "--logs", "--timeout", "120s")
    third.values["config"] = {"logLevel": "WARNING"}
    third.upgrade()
    history = json.loads(third.helm("history", third.name, "--output", "json"))
    assert [entry["status"] for entry in history] == ["superseded", "deployed"]
    deployment = json.loads(third.namespace.kubectl("get", "deployment", f"{third.fullname}-api", "-o", "json"))
    environment = {
        entry["name"]: entry["value"] for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert environment["LOG_LEVEL"] == "WARNING"
    scaled = json.loads(third.namespace.kubectl("get", "hpa", f"{third.fullname}-api", "-o", "json"))
    assert scaled["spec"]["minReplicas"] == 1
