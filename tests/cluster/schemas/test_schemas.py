from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.node import programs
from tests.cluster.schemas import store
from tests.cluster.schemas.store import VERSIONS, check
from tests.requirements import require

DEV = Path(__file__).parents[3] / "k8s/dev"
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "web:1",
                        "ports": [{"containerPort": 80}],
                        "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
                        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}},
                    }
                ]
            },
        },
    },
}
MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "ServiceMonitor",
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "http", "interval": "5s"}]},
}


@pytest.fixture(autouse=True, scope="module")
def kubeconform() -> None:
    present = programs.path("kubeconform").exists() and (store.made() or shutil.which("go"))
    require(present, what="kubeconform and go", command="make cluster-tools")


def changed(manifest: dict[str, Any], *path: str | int, to: Any) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return changed


CONTAINER = ("spec", "template", "spec", "containers", 0)


def test_there_are_schemas_of_at_least_three_minors() -> None:
    assert len({version.split(".")[1] for version in VERSIONS}) >= 3


@pytest.mark.parametrize("version", VERSIONS)
def test_the_dev_manifests_are_valid(version: str) -> None:
    documents = [document for file in sorted(DEV.glob("*.yaml")) for document in yaml.safe_load_all(file.read_text())]
    assert len(documents) > 10
    assert check(documents, version=version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_valid_manifests_pass(version: str) -> None:
    assert check([DEPLOYMENT, MONITOR], version=version) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (changed(DEPLOYMENT, "spec", "replica", to=2), "replica"),
        (changed(DEPLOYMENT, "spec", "replicas", to="two"), "replicas"),
        (changed(DEPLOYMENT, *CONTAINER, "imagePullPolcy", to="Never"), "imagePullPolcy"),
        (changed(DEPLOYMENT, *CONTAINER, "resources", to={"limit": {}}), "limit"),
        (changed(DEPLOYMENT, "metadata", "labels", to={"app": 1}), "app"),
        (changed(DEPLOYMENT, "spec", "template", "spec", to={}), "containers"),
        (changed(DEPLOYMENT, "apiVersion", to="apps/v1beta1"), "could not find schema"),
        (changed(MONITOR, "spec", "endpoints", 0, "intervall", to="5s"), "intervall"),
        (changed(MONITOR, "spec", "endpoints", 0, "interval", to=5), "interval"),
        (changed(MONITOR, "kind", to="ServiceMonitorr"), "could not find schema"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_named(wrong: dict[str, Any], named: str, version: str) -> None:
    (problem,) = check([DEPLOYMENT, wrong], version=version)
    assert named in problem


def test_a_field_that_is_newer_than_a_version_is_refused_by_it() -> None:
    container = changed(DEPLOYMENT, *CONTAINER, "lifecycle", to={"stopSignal": "SIGUSR1"})  # since 1.33
    assert check([container], version="1.33.13") == []
    (problem,) = check([container], version="1.30.14")
    assert "stopSignal" in problem


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("barmancloud.cnpg.io/v1", "ObjectStore"),
        ("cert-manager.io/v1", "Certificate"),
        ("external-secrets.io/v1", "ExternalSecret"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("keda.sh/v1alpha1", "ScaledObject"),
        ("monitoring.coreos.com/v1", "PrometheusRule"),
        ("postgresql.cnpg.io/v1", "Cluster"),
        ("postgresql.cnpg.io/v1", "ScheduledBackup"),
    ],
)
def test_the_kinds_of_others_are_known(api_version: str, kind: str) -> None:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": {"nonsense": True}}
    (problem,) = check([manifest], version=VERSIONS[-1])
    assert "nonsense" in problem
