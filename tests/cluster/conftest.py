"""The cluster tests' shared fixtures: a cluster, images, a namespace, servers, the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cluster import environment
from tests.cluster.chart.release import helm
from tests.cluster.chart.skaffold import SkaffoldRelease
from tests.cluster.images import store
from tests.cluster.node import addons, boot, ingress, processes, programs, teardown
from tests.cluster.node.layout import layout
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.environment import Cluster, Namespace
    from tests.cluster.node.layout import Layout


HERE = Path(__file__).parent
PATIENCE = 900
"""Seconds of one test with its fixtures: the first one boots the node and builds the images."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Boot tests first: they need a machine without a cluster, the others then keep one to the end."""
    items.sort(key=lambda item: item.path.name != "test_up_and_down.py")
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENCE))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of TEST_KUBECONFIG, the node that runs here, or one of our own until the tests end."""
    if (found := environment.given()) is not None:
        yield found
        return
    place = layout()
    if processes.alive(place).get("kube-apiserver"):
        yield _enforcing(environment.own())
        return
    built = not programs.missing(programs.CORE, where=place)
    require(built and not boot.obstacles(place), what="the cluster's programs, as root", command="make cluster-tools")
    boot.up(place)
    try:
        yield _enforcing(environment.own())
    finally:
        teardown.down(place)


def _enforcing(cluster: Cluster) -> Cluster:
    """Enforce NetworkPolicies before any test: what a test meets must not depend on which one ran before it."""
    _on_our_node(cluster, start=addons.network_policies)
    return cluster


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> dict[str, str]:
    """The images, built and where pods get them, by short name."""
    assert cluster.kubeconfig.exists()
    return store.ensure()


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, images: dict[str, str]) -> Iterator[Namespace]:
    """A namespace that enforces `restricted`, for one module."""
    fresh = environment.new_namespace(cluster, images=images)
    fresh.create()
    try:
        yield fresh
    finally:
        fresh.remove()


@pytest.fixture(scope="module")
def servers(namespace: Namespace) -> Namespace:
    """The namespace with PostgreSQL, Valkey and the simulator in it."""
    namespace.servers()
    return namespace


@pytest.fixture(scope="module")
def payments(servers: Namespace) -> SkaffoldRelease:
    """The chart on the servers, as skaffold installs it."""
    require(helm(4).exists(), what="Helm 4", command="make cluster-tools")
    release = SkaffoldRelease(servers)
    release.prepare()
    release.install()
    return release


def _on_our_node(cluster: Cluster, *names: str, start: Callable[[Layout], None]) -> None:
    """Start an add-on on our own node, once; it runs on until the node stops."""
    assert cluster.place is not None
    built = not programs.missing([programs.PROGRAMS[name] for name in names], where=cluster.place)
    require(built, what=f"the add-on {' '.join(names)}", command="make cluster-tools")
    with processes.locked(cluster.place):
        start(cluster.place)


def _here_or_theirs(cluster: Cluster, name: str, *, served: tuple[str, str], start: Callable[[Layout], None]) -> None:
    """Start an add-on on our own node; somebody else's cluster must serve what shows that it is there."""
    if cluster.place is not None:
        _on_our_node(cluster, name, start=start)
        return
    found = cluster.kubectl("get", *served, "--ignore-not-found")
    require(found, what=f"{name} in the cluster of TEST_KUBECONFIG", command=f"install {name}")


@pytest.fixture(scope="session")
def metrics(cluster: Cluster) -> None:
    """The metrics API that autoscalers read."""
    served = ("apiservice", "v1beta1.metrics.k8s.io")
    _here_or_theirs(cluster, "metrics-server", served=served, start=addons.metrics_server)


@pytest.fixture(scope="session")
def prometheus_operator(cluster: Cluster) -> None:
    """prometheus-operator with its CRDs; only on our own node, whose images of it are known."""
    require(cluster.place, what="prometheus-operator on our own node", command="unset TEST_KUBECONFIG")
    parts = ("prometheus-operator", "prometheus", "prometheus-config-reloader")
    _on_our_node(cluster, *parts, start=addons.prometheus_operator)


@pytest.fixture(scope="session")
def cert_manager(cluster: Cluster) -> None:
    """cert-manager with its kinds."""
    served = ("crd", "certificates.cert-manager.io")
    _here_or_theirs(cluster, "cert-manager", served=served, start=addons.cert_manager)


@pytest.fixture(scope="session")
def ingress_controller(cluster: Cluster) -> None:
    """A controller that serves Ingresses without a class; an Ingress's status names its address."""
    if cluster.place is None:
        classes = json.loads(cluster.kubectl("get", "ingressclasses", "-o", "json"))["items"]
        default = "ingressclass.kubernetes.io/is-default-class"
        found = [item for item in classes if item["metadata"].get("annotations", {}).get(default) == "true"]
        require(found, what="a default ingress class", command="unset TEST_KUBECONFIG, or install a controller")
        return
    _on_our_node(cluster, "traefik", start=ingress.start)
