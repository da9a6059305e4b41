"""The autoscaler adds API pods under load and takes them away again; no request fails meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.cluster.chart.loading import stored, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.release import Release

pytestmark = [pytest.mark.timeout(1200), pytest.mark.soak]


@pytest.mark.usefixtures("metrics")
def test_the_autoscaler_goes_up_and_down_and_no_request_fails(release: Release, say: Callable[[str], None]) -> None:
    few = {"requests": {"cpu": "60m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
    bounds = {"minReplicas": 1, "maxReplicas": 3, "scaleDownStabilizationSeconds": 15}
    with release.changed({"api": {"resources": few, "autoscaling": bounds}}):
        rows = stored(release)
        with release.webhooks(seconds=3600, rate=90, fresh=30) as load:
            assert release.namespace.until(lambda: replicas(release) == 3, seconds=300), describe(release)
            load.stop()
            busy = load.result()
        with release.webhooks(seconds=3600, rate=4, fresh=2) as load:
            assert release.namespace.until(lambda: replicas(release) == 1, seconds=400), describe(release)
            load.stop()
            calm = load.result()
        say(f"1 to 3 pods: {summary(busy)}")
        say(f"3 to 1 pods: {summary(calm)}")
        assert (busy["failed"], calm["failed"]) == (0, 0), (busy["failed_by_kind"], calm["failed_by_kind"])
        assert stored(release) - rows == busy["total"] + calm["total"]


def replicas(release: Release) -> int:
    """Return how many API pods are ready and how many there are, when both agree; else 0."""
    deployment = release.namespace.kubectl("get", "deployment", f"{release.fullname}-api", "-o", "json")
    status = json.loads(deployment)["status"]
    return int(status["replicas"]) if status.get("replicas") == status.get("readyReplicas") else 0


def describe(release: Release) -> str:
    """Return what the autoscaler says of itself."""
    return release.namespace.kubectl("describe", "hpa", f"{release.fullname}-api")
