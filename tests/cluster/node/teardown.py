"""Remove a cluster, running or crashed, so that nothing of it stays on the machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.node import images, network, processes

if TYPE_CHECKING:
    from tests.cluster.node.layout import Layout

_LAST = ("kube-apiserver", "etcd", "containerd")  # in this order, after everything that talks to them


def clear_containers(place: Layout) -> None:
    """Kill and forget every container that containerd knows."""
    tasks = images.ctr(place, "tasks", "ls", "-q", check=False).split()
    if tasks:
        images.ctr(place, "tasks", "rm", "--force", *tasks, check=False)
    containers = images.ctr(place, "containers", "ls", "-q", check=False).split()
    if containers:
        images.ctr(place, "containers", "rm", *containers, check=False)


def _cgroups() -> list[Path]:
    roots = [folder for folder in Path("/sys/fs/cgroup").glob("**/k8s.io") if folder.is_dir()]
    return [folder for root in roots for folder in (*sorted(root.glob("**/"), reverse=True),)]


def _kill_pods() -> None:
    """Kill what still runs in the pods' cgroups: the way that needs no containerd."""
    for folder in _cgroups():
        file = folder / "cgroup.procs"
        pids = [int(line) for line in file.read_text().split()] if file.exists() else []
        processes.stop((known for pid in pids if (known := processes.identity(pid))), patience=0)


def _remove_cgroups() -> None:
    for _ in range(50):
        left = _cgroups()
        if not left:
            return
        for folder in left:
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.02)


def _unmount(place: Layout) -> None:
    prefixes = (f"{place.run}/", f"{place.store}/")
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(prefixes):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


def down(place: Layout) -> bool:
    """Stop and remove everything of the last boot; return whether there was anything."""
    if not place.run.exists():
        return False
    running = processes.alive(place)
    processes.stop((known for name, known in running.items() if name not in _LAST), patience=2)
    if "containerd" in running:
        clear_containers(place)
    for name in _LAST:
        if name in running:
            processes.stop([running[name]], patience=3)
    _kill_pods()
    processes.stop(processes.mentioning(str(place.run)), patience=0.2)
    network.remove()
    _remove_cgroups()
    _unmount(place)
    shutil.rmtree(place.run, ignore_errors=True)
    return True
