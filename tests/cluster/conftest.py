"""The cluster tests' shared fixtures: a cluster, images, a namespace, servers, the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cluster import environment
from tests.cluster.images import store
from tests.cluster.node import addons, boot, processes, programs, teardown
from tests.cluster.node.layout import layout
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Cluster, Namespace


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Boot tests first: they need a machine without a cluster, the others then keep one to the end."""
    items.sort(key=lambda item: item.path.name != "test_up_and_down.py")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of TEST_KUBECONFIG, the node that runs here, or one of our own until the tests end."""
    if (found := environment.given()) is not None:
        yield found
        return
    place = layout()
    if processes.alive(place).get("kube-apiserver"):
        yield environment.own()
        return
    built = not programs.missing(programs.CORE, where=place)
    require(built and not boot.obstacles(place), what="the cluster's programs, as root", command="make cluster-tools")
    boot.up(place)
    try:
        yield environment.own()
    finally:
        teardown.down(place)


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
def payments(servers: Namespace) -> Namespace:
    """The namespace with the servers and the service on them."""
    servers.payments()
    return servers


@pytest.fixture(scope="session")
def metrics(cluster: Cluster) -> None:
    """The metrics API that autoscalers read."""
    if cluster.place is None:
        served = cluster.kubectl("get", "apiservice", "v1beta1.metrics.k8s.io", check=False)
        require(served, what="metrics-server in the cluster of TEST_KUBECONFIG", command="install metrics-server")
        return
    require(not addons.missing(cluster.place), what="the cluster's add-ons", command="make cluster-tools")
    with processes.locked(cluster.place):
        addons.metrics_server(cluster.place)


@pytest.fixture(scope="session")
def prometheus_operator(cluster: Cluster) -> None:
    """prometheus-operator with its CRDs; only on our own node, whose images of it are known."""
    require(cluster.place, what="prometheus-operator on our own node", command="unset TEST_KUBECONFIG")
    assert cluster.place is not None
    require(not addons.missing(cluster.place), what="the cluster's add-ons", command="make cluster-tools")
    with processes.locked(cluster.place):
        addons.prometheus_operator(cluster.place)
