"""The bridge that is the node's address and the pods' gateway, and what Kubernetes leaves in the kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.node.layout import BRIDGE, HOST_CIDR, NETWORK

_RESULTS = Path("/var/lib/cni/results")
POLICY_TABLE = "ip payments-netpol"
_TABLES = ("ip kube-proxy", "ip6 kube-proxy", POLICY_TABLE)


def _run(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def create() -> None:
    """Make the bridge with the node's address and let bridged packets pass the IP hooks (network policies)."""
    if shutil.which("modprobe"):  # a small machine may have neither the program nor modules, but all in its kernel
        _run("modprobe", "br_netfilter")
    for setting in ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"):
        target = Path("/proc/sys") / setting.replace(".", "/")
        if target.exists():
            target.write_text("1")
    # A fixed hardware address: otherwise it changes as pods join, and their neighbour tables go stale.
    commands = (
        f"ip link add {BRIDGE} address 0a:58:0a:fa:00:01 type bridge",
        f"ip address add {HOST_CIDR} dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
    )
    for command in commands:
        subprocess.run(command.split(), check=True, capture_output=True)


def policies_enforced() -> bool:
    """Tell whether the table of the network policies' engine is there."""
    return f"table {POLICY_TABLE}" in _run("nft", "list", "tables").splitlines()


def _sandboxes(record: dict[str, Any]) -> set[str]:
    interfaces = (record.get("result") or {}).get("interfaces") or []
    return {item["sandbox"] for item in interfaces if item.get("sandbox")}


def pods() -> tuple[set[Path], set[Path]]:
    """Return this cluster's records of pods and their network namespaces, read from CNI's own results."""
    files = list(_RESULTS.glob("*")) if _RESULTS.exists() else []
    parsed = {file: json.loads(file.read_text() or "{}") for file in files}
    ours = {record.get("containerId") for record in parsed.values() if record.get("networkName") == NETWORK}
    mine = {file: record for file, record in parsed.items() if record.get("containerId") in ours}
    return set(mine), {Path(name) for record in mine.values() for name in _sandboxes(record)}


def remove() -> None:
    """Remove the pods' namespaces and interfaces, the bridge and kube-proxy's tables."""
    records, namespaces = pods()
    for namespace in namespaces:
        _run("ip", "netns", "delete", namespace.name)
    for record in records:
        record.unlink(missing_ok=True)
    ports = json.loads(_run("ip", "-j", "link", "show", "master", BRIDGE) or "[]")
    for port in ports:
        _run("ip", "link", "delete", port["ifname"])
    _run("ip", "link", "delete", BRIDGE)
    for table in _TABLES:
        _run("nft", "delete", "table", *table.split())
