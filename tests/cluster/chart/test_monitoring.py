"""A real Prometheus, configured by the chart's ServiceMonitor and PrometheusRule, scrapes the pods and alerts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.cluster.node import addons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.chart.release import Release

pytestmark = [pytest.mark.timeout(900), pytest.mark.soak]
ALERT = "PaymentsDeadEvents"
PROMETHEUS = "http://prometheus-operated:9090/api/v1"


@pytest.fixture
def monitored(release: Release, prometheus_operator: None) -> Iterator[Release]:
    """The release with its ServiceMonitor and rules, and a Prometheus beside it."""
    assert prometheus_operator is None
    values = {
        "monitoring": {"serviceMonitor": {"enabled": True, "interval": "5s"}, "rules": {"enabled": True}},
        "networkPolicy": {"monitoringNamespaceLabels": {"kubernetes.io/metadata.name": release.namespace.name}},
    }
    release.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(addons.prometheus()))
    with release.changed(values):
        yield release
    release.namespace.kubectl("delete", "prometheus", "test")


def test_prometheus_scrapes_every_pod_and_an_alert_fires_when_its_condition_is_caused(
    monitored: Release, say: Callable[[str], None]
) -> None:
    with monitored.webhooks(seconds=2, rate=20, fresh=10) as load:
        assert load.result()["failed"] == 0
    assert monitored.namespace.until(lambda: running(monitored) <= scraped(monitored), seconds=300), scraped(monitored)
    assert {component for component, _ in scraped(monitored)} == {"api", "worker"}
    # a Prometheus that has scraped no pod yet may fire PaymentsDown
    assert monitored.namespace.until(lambda: not firing(monitored), seconds=120), firing(monitored)
    monitored.psql("UPDATE events SET state = 'dead' WHERE id = (SELECT min(id) FROM events)")
    assert monitored.namespace.until(lambda: ALERT in firing(monitored), seconds=300), firing(monitored)
    monitored.psql("UPDATE events SET state = 'applied' WHERE state = 'dead'")
    assert monitored.namespace.until(lambda: ALERT not in firing(monitored), seconds=300), firing(monitored)
    say(f"Prometheus scraped {len(running(monitored))} pods; {ALERT} fired and ended")


def running(release: Release) -> set[tuple[str, str]]:
    """Return component and name of the release's pods that are not ending."""
    return {
        (component, pod["metadata"]["name"])
        for component in ("api", "worker")
        for pod in release.pods(component)
        if "deletionTimestamp" not in pod["metadata"]
    }


def scraped(release: Release) -> set[tuple[str, str]]:
    """Return component and name of the pods whose last scrape succeeded."""
    found = query(release, f'up{{environment="{release.fullname}"}} == 1')
    return {(item["metric"]["component"], item["metric"]["pod"]) for item in found}


def query(release: Release, expression: str) -> list[dict[str, Any]]:
    """Return the series of a query, none while Prometheus is not there."""
    status, answer = release.namespace.request(f"{PROMETHEUS}/query?query={quote(expression)}")
    return list(answer["data"]["result"]) if status == 200 else []


def firing(release: Release) -> set[str]:
    """Return the names of our alerts that fire."""
    return {item["metric"]["alertname"] for item in query(release, 'ALERTS{alertstate="firing"}')}
