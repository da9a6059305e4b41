"""Helm 3 installs and upgrades the chart as Helm 4 does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.cluster.chart.release import Release, helm
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def third(release: Release) -> Iterator[Release]:
    """Another release beside the first, made by Helm 3, on the same database and Secrets."""
    require(helm(3).exists(), what="Helm 3", command="make cluster-tools")
    one = {"autoscaling": {"minReplicas": 1, "maxReplicas": 2}}
    made = replace(release, name="three", version=3, values={"api": one, "worker": one})
    try:
        yield made
    finally:
        made.helm("uninstall", made.name, check=False)


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
