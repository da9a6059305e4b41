"""What a cluster could leave behind on the machine, as comparable names."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cluster.node import processes
from tests.cluster.node.layout import Layout, layout


def _lines(*command: str) -> set[str]:
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())


def _names(folder: str) -> set[str]:
    path = Path(folder)
    return {item.name for item in path.iterdir()} if path.exists() else set()


def take(place: Layout | None = None) -> dict[str, set[str]]:
    """Return the cluster's processes, and the machine's mounts, links, routes, namespaces, tables and cgroups."""
    folders = place or layout()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    links = json.loads(subprocess.run(["ip", "-j", "link"], check=True, capture_output=True, text=True).stdout)
    return {
        "processes": {str(known[0]) for known in processes.mentioning(str(folders.run))},
        "mounts": {line.split()[4] for line in mounts},
        "links": {link["ifname"] for link in links},
        "routes": _lines("ip", "route"),
        "namespaces": _names("/run/netns"),
        "tables": _lines("nft", "list", "tables"),
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob("**/k8s.io")},
        "CNI records": _names("/var/lib/cni/results"),
        "run": {str(folders.run)} if folders.run.exists() else set(),
    }
