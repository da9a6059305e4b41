from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cluster.chart.release import CHART

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.chart.release import Release

COMPONENTS = ("api", "worker")
pytestmark = pytest.mark.timeout(900)  # the images may have to be built first


def test_the_release_is_ready_in_a_namespace_that_enforces_restricted(release: Release) -> None:
    labels = json.loads(release.namespace.cluster.kubectl("get", "ns", release.namespace.name, "-o", "json"))
    assert labels["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in release.pods("api"):
        assert {c["type"]: c["status"] for c in pod["status"]["conditions"]}["Ready"] == "True"
        assert not [volume for volume in pod["spec"]["volumes"] if volume["name"].startswith("kube-api-access")]


def test_helm_test_creates_a_subscription_and_leaves_no_key(release: Release) -> None:
    keys = "SELECT count(*), count(revoked_at) FROM api_keys WHERE principal = 'helm-test'"
    before = int(release.psql(keys).split("|")[0])  # other releases of this namespace have made theirs
    said = release.helm("test", release.name, "--logs", "--timeout", "120s")
    for step in ("ok   webhook", "ok   created lps_", "applied, the row says active", "ok   canceled", "ok   revoked"):
        assert step in said, said
    assert release.psql(keys) == f"{before + 1}|{before + 1}"
    subscription = re.findall(r"created (lps_\w+)", said)[0]
    assert release.psql(f"SELECT status FROM subscriptions WHERE id = '{subscription}'") == "canceled"


def test_the_application_role_cannot_change_the_schema(release: Release) -> None:
    with pytest.raises(RuntimeError, match=r"permission denied|must be owner"):
        release.psql("ALTER TABLE customers ADD COLUMN never integer")


def test_the_commands_of_the_notes_work(release: Release) -> None:
    notes = release.helm("get", "notes", release.name)
    command = next(line for line in notes.splitlines() if "keys create" in line).split(" -- ")[1]
    key = release.exec(*command.split())
    assert key.startswith("lp_")
    assert release.exec("payments", "keys", "list").count(key[:8]) >= 1
    assert f"helm -n {release.namespace.name} test {release.name}" in notes


def test_requests_cover_what_pods_use_and_limits_leave_room(release: Release, say: Callable[[str], None]) -> None:
    """At a load that is high for billing: fifty events a second on kept connections and ten on new ones."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    before, started = {component: _cpu_seconds(release, component) for component in COMPONENTS}, time.monotonic()
    with release.webhooks(seconds=10, rate=50, fresh=10) as load:
        assert load.result()["failed"] == 0
    for component in COMPONENTS:
        cores = (_cpu_seconds(release, component) - before[component]) / (time.monotonic() - started)
        used = _resident_mebibytes(release, component)
        resources = defaults[component]["resources"]
        requested, limited = (int(resources[kind]["memory"].removesuffix("Mi")) for kind in ("requests", "limits"))
        millicores = int(resources["requests"]["cpu"].removesuffix("m"))
        say(f"{component}: {used:.0f} MiB resident after load, {requested} MiB requested, limit {limited} MiB")
        say(f"{component}: {1000 * cores:.0f}m CPU a pod under load, {millicores}m requested")
        assert used < requested
        assert used < limited / 2
        assert 1000 * cores < millicores


def _cpu_seconds(release: Release, component: str) -> float:
    """What the pods have used each on average, in user and system mode (proc(5): fields 14 and 15)."""
    pods = [pod["metadata"]["name"] for pod in release.pods(component)]
    read = [release.namespace.kubectl("exec", pod, "-c", component, "--", "cat", "/proc/1/stat") for pod in pods]
    fields = [text.rpartition(")")[2].split() for text in read]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK") / len(pods)


def _resident_mebibytes(release: Release, component: str) -> float:
    status: Any = release.exec("cat", "/proc/1/status", component=component)
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024
