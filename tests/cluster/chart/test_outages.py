"""API, PostgreSQL and Redis pods killed under load: nothing that was acknowledged is lost, nobody pays twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.chart.loading import stored, summary
from tests.cluster.chart.paying import Buyer, offer
from tests.cluster.chart.release import SIMULATOR_CONTROL
from tests.cluster.node import containers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.release import Release

pytestmark = [pytest.mark.timeout(1800), pytest.mark.soak]
ROUNDS = 3
UNFINISHED = "SELECT count(*) FROM operations WHERE NOT finished"


def test_nothing_acknowledged_is_lost_when_pods_are_killed(
    release: Release,
    say: Callable[[str], None],
) -> None:
    offer(release)
    rows = stored(release)
    with release.webhooks(seconds=3600, rate=40, fresh=20) as load, Buyer(release) as buyer:
        for _ in range(ROUNDS):
            for pod in (_api_pod(release), "postgresql-0", _valkey_pod(release)):
                time.sleep(5)
                kill(release, pod)
                recovered(release)
        time.sleep(5)
        load.stop()
        result = load.result()
    say(release.namespace.kubectl("logs", "postgresql-0", "--tail=40"))
    acknowledged = result["total"] - result["failed"]
    kept = stored(release) - rows
    release.namespace.until(lambda: release.psql(UNFINISHED) == "0", seconds=180)
    say(f"events: {summary(result)}; {acknowledged} acknowledged, {kept} stored {result['failed_by_kind']}")
    say(f"payments: {len(buyer.bought)} acknowledged in {buyer.tries} tries")
    statuses = {kind for kind in result["failed_by_kind"] if kind.startswith("status")}
    assert statuses <= {"status 503"}, errors_of(release)
    assert acknowledged >= 2000
    assert kept >= acknowledged
    assert release.psql(UNFINISHED) == "0"
    assert len(buyer.bought) >= 10
    assert_each_paid_once(release, buyer)


def errors_of(release: Release) -> list[str]:
    """What API pods have logged as an error: a 500 has its cause there."""
    names = [pod["metadata"]["name"] for pod in release.pods("api")]
    lines = [line for name in names for line in release.namespace.kubectl("logs", name).splitlines()]
    return [line for line in lines if "error" in line][-10:]


def assert_each_paid_once(release: Release, buyer: Buyer) -> None:
    """Every acknowledged subscription has its row, and every customer exactly one charge."""
    identifiers = ",".join(f"'{answer['id']}'" for answer in buyer.bought)
    query = f"SELECT count(*) FROM subscriptions WHERE status = 'active' AND id IN ({identifiers})"
    assert release.psql(query) == str(len(buyer.bought))
    _, ledger = release.namespace.request(f"{SIMULATOR_CONTROL}/ledger")
    charges = Counter(charge["customer"] for charge in ledger["charges"])
    rows = release.psql(f"SELECT stripe_customer_id FROM subscriptions WHERE id IN ({identifiers})")
    bought = set(rows.splitlines())
    assert len(bought) == len(buyer.bought)
    assert {customer: charges[customer] for customer in bought} == dict.fromkeys(bought, 1)


def kill(release: Release, pod: str) -> None:
    """Kill the pod's processes without a warning; the kubelet starts its containers anew on the same volume.

    On another cluster than our own node, whose processes are out of reach, delete the pod with one second's warning:
    after `--force` its successor could start on the same volume while PostgreSQL still writes there
    (kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod), and two servers lose rows.
    """
    if release.namespace.cluster.place is None:
        release.namespace.kubectl("delete", "pod", pod, "--grace-period=1", check=False)
        return
    before = container_of(release, pod)
    assert containers.kill(before["containerID"]) == 1
    later = before["restartCount"] + 1
    assert release.namespace.until(lambda: container_of(release, pod)["restartCount"] >= later, seconds=120), pod


def container_of(release: Release, pod: str) -> dict[str, Any]:
    """Return what the kubelet says of the pod's only container."""
    found: dict[str, Any] = json.loads(release.namespace.kubectl("get", "pod", pod, "-o", "json"))
    return dict(found["status"]["containerStatuses"][0])


def recovered(release: Release) -> None:
    """Wait until every server and every pod of the release is ready again."""
    workloads = (f"deployment/{release.fullname}-api", f"deployment/{release.fullname}-worker")
    for workload in ("statefulset/postgresql", "deployment/valkey", *workloads):
        release.namespace.kubectl("rollout", "status", workload, "--timeout=120s")


def _api_pod(release: Release) -> str:
    return str(release.pods("api")[0]["metadata"]["name"])


def _valkey_pod(release: Release) -> str:
    return release.namespace.kubectl("get", "pods", "-l", "app=valkey", "-o", "jsonpath={.items[0].metadata.name}")
