"""A real Prometheus, configured by the chart's ServiceMonitor and PrometheusRule, scrapes the pods and alerts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.node import addons

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.release import Release

pytestmark = [pytest.mark.timeout(900), pytest.mark.soak]
PROMETHEUS = "http://prometheus-operated:9090/api/v1"


@pytest.mark.usefixtures("prometheus_operator")
def test_prometheus_scrapes_every_pod_and_an_alert_fires_when_its_condition_is_caused(
    release: Release, say: Callable[[str], None]
) -> None:
    own = {"kubernetes.io/metadata.name": release.namespace.name}
    release.values = {
        "monitoring": {"serviceMonitor": {"enabled": True, "interval": "5s"}, "rules": {"enabled": True}},
        "networkPolicy": {"monitoringNamespaceLabels": own},
    }
    release.upgrade()
    release.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(addons.prometheus()))
    pods = len(release.pods("api")) + len(release.pods("worker"))
    up = f'up{{environment="{release.fullname}"}} == 1'
    scraped = release.namespace.until(lambda: len(series := query(release, up)) >= pods and series, seconds=300)
    assert scraped, query(release, "up")
    assert {item["metric"]["component"] for item in scraped} == {"api", "worker"}
    assert not firing(release)
    release.psql("UPDATE events SET state = 'dead' WHERE id = (SELECT min(id) FROM events)")
    assert release.namespace.until(lambda: "PaymentsDeadEvents" in firing(release), seconds=300), firing(release)
    release.psql("UPDATE events SET state = 'applied' WHERE state = 'dead'")
    assert release.namespace.until(lambda: not firing(release), seconds=300), firing(release)
    say(f"Prometheus scraped {pods} pods; PaymentsDeadEvents fired and ended")
    release.values = {}
    release.upgrade()


def query(release: Release, expression: str) -> list[dict[str, Any]]:
    """Return the series of a query, none while Prometheus is not there."""
    body = f"query={expression}".replace("=", "%3D").replace("query%3D", "query=", 1).replace('"', "%22")
    address = f"{PROMETHEUS}/query?{body}".replace(" ", "%20").replace("{", "%7B").replace("}", "%7D")
    status, answer = release.namespace.request(address)
    return list(answer["data"]["result"]) if status == 200 else []


def firing(release: Release) -> set[str]:
    """Return the names of our alerts that fire."""
    return {item["metric"]["alertname"] for item in query(release, 'ALERTS{alertstate="firing"}')}
