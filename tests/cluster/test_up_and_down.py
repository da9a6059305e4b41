from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cluster.node import addons, boot, images, network, processes, programs, snapshot, teardown
from tests.cluster.node.layout import Layout, layout
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

POD = """{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waits"},
 "spec": {"containers": [{"name": "waits", "image": "localhost/pause:1", "imagePullPolicy": "Never"}]}}"""


@pytest.fixture
def place() -> Iterator[Layout]:
    folders = layout()
    built = not programs.missing(programs.CORE, where=folders)
    require(built and not boot.obstacles(folders), what="the cluster's programs, as root", command="make cluster-tools")
    if processes.alive(folders):
        pytest.skip("a cluster runs for somebody: make cluster-down")
    teardown.down(folders)  # of one that was killed: links, tables and cgroups outlive its processes
    yield folders
    teardown.down(folders)


def _run_pod(place: Layout) -> None:
    boot.kubectl(place, "apply", "-f", "-", stdin=POD)
    boot.kubectl(place, "wait", "pod/waits", "--for=condition=Ready", "--timeout=180s")


@pytest.mark.parametrize("_time", [1, 2, 3])
def test_up_and_down_leave_nothing_behind(place: Layout, _time: int) -> None:
    before = snapshot.take(place)
    boot.up(place)
    _run_pod(place)
    teardown.down(place)
    assert snapshot.take(place) == before


def test_down_removes_the_network_policies_too(place: Layout) -> None:
    before = snapshot.take(place)
    boot.up(place)
    addons.network_policies(place)
    assert network.policies_enforced()
    teardown.down(place)
    assert snapshot.take(place) == before


def test_a_second_cluster_refuses_and_names_the_first(place: Layout) -> None:
    boot.up(place)
    with pytest.raises(boot.ClusterError, match=str(place.kubeconfig)):
        boot.up(place)


def test_remains_of_a_crashed_cluster_are_cleaned_at_the_next_start(place: Layout) -> None:
    boot.up(place)
    _run_pod(place)
    processes.stop(processes.alive(place).values(), patience=0)
    boot.up(place)
    assert boot.kubectl(place, "get", "pods", "-o", "name") == ""
    assert len(images.ctr(place, "containers", "ls", "-q").split()) == 0
