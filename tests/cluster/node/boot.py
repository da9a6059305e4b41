"""Boot a one-node Kubernetes on this machine and wait until it can run pods."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from tests.cluster.node import (
    certificates,
    clients,
    control_plane,
    images,
    network,
    packages,
    processes,
    programs,
    teardown,
    volumes,
    workload_plane,
)
from tests.cluster.node.layout import NODE, Layout

if TYPE_CHECKING:
    from collections.abc import Callable


class ClusterError(Exception):
    """The cluster cannot be booted; the message says what to do."""


def obstacles(place: Layout) -> list[str]:
    """Return why this machine cannot boot a cluster now: empty when it can."""
    lacking = [] if packages.installable() else packages.missing(packages.RUNTIME)
    found = [f"install {' '.join(lacking)} (apt-get install {' '.join(lacking)})"] if lacking else []
    if os.geteuid() != 0:
        found.append("run as root: pods need network namespaces and mounts")
    if programs.missing(programs.CORE, where=place) or not clients.client("kubectl", where=place).exists():
        found.append("build the cluster's programs: make cluster-tools")
    return found


def kubectl(place: Layout, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl as the cluster's administrator and return what it prints."""
    command = [str(clients.client("kubectl", where=place)), f"--kubeconfig={place.kubeconfig}", *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True, input=stdin).stdout


def wait(place: Layout, what: str, ready: Callable[[], bool], *, seconds: float = 120) -> None:
    """Poll until ready.

    Raises:
        ClusterError: the time is over, or a process of the cluster ended meanwhile.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        dead = set(processes.recorded(place)) - set(processes.alive(place))
        if dead or time.monotonic() > deadline:
            reason = f"{', '.join(sorted(dead))} ended" if dead else f"not within {seconds:.0f} s"
            raise ClusterError(f"{what}: {reason}; see {place.logs}")
        time.sleep(0.1)


def _succeeds(place: Layout, *arguments: str) -> bool:
    try:
        kubectl(place, *arguments)
    except subprocess.CalledProcessError:
        return False
    return True


def _node_ready(place: Layout) -> bool:
    nodes = json.loads(kubectl(place, "get", "nodes", "-o", "json", check=False) or '{"items": []}')["items"]
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for node in nodes
        for condition in node["status"].get("conditions", [])
    )


def _start(place: Layout) -> None:
    network.create()
    certificates.make(place)
    processes.start(place, "etcd", control_plane.etcd(place))
    processes.start(place, "containerd", workload_plane.containerd(place))
    processes.start(place, "kube-apiserver", control_plane.api_server(place))
    wait(place, "containerd", lambda: bool(images.ctr(place, "version", check=False)))
    teardown.clear_containers(place)  # what a crashed boot left in the store
    images.load_pause(place)
    wait(place, "the API server", lambda: _succeeds(place, "get", "--raw=/readyz"))
    processes.start(place, "kube-controller-manager", control_plane.controller_manager(place))
    processes.start(place, "kube-scheduler", control_plane.scheduler(place))
    processes.start(place, "kubelet", workload_plane.kubelet(place))
    processes.start(place, "kube-proxy", workload_plane.kube_proxy(place))
    processes.start(place, "coredns", workload_plane.coredns(place))
    wait(place, f"the node {NODE}", lambda: _node_ready(place))
    wait(place, "the default service account", lambda: _succeeds(place, "get", "serviceaccount", "default"))
    for number in range(volumes.SPARE):
        kubectl(place, "apply", "-f", "-", stdin=volumes.provide(place, f"spare-{number}"))


def up(place: Layout) -> None:
    """Boot the cluster.

    Raises:
        ClusterError: one runs already, something is missing, or a part did not start.
    """
    if processes.alive(place).get("kube-apiserver"):
        raise ClusterError(f"a cluster runs already: KUBECONFIG={place.kubeconfig} (stop it: make cluster-down)")
    problems = obstacles(place)
    if problems:
        raise ClusterError("; ".join(problems))
    packages.install(packages.RUNTIME)
    teardown.down(place)
    place.run.mkdir(parents=True, mode=0o700)
    try:
        _start(place)
    except BaseException:
        logs = place.root / "failed-logs"
        shutil.rmtree(logs, ignore_errors=True)
        if place.logs.exists():
            shutil.copytree(place.logs, logs)
        teardown.down(place)
        raise
