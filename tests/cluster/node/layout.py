"""Where the cluster's files lie and which addresses it uses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "tools"
BRIDGE = "payments0"
NETWORK = "payments-pods"
HOST = "10.250.0.1"
HOST_CIDR = "10.250.0.1/24"
POD_SUBNET = "10.250.0.0/24"
POD_CIDR = "10.250.0.0/16"
SERVICE_CIDR = "10.251.0.0/16"
SERVICE_API = "10.251.0.1"
INGRESS = "10.251.0.80"
"""The ingress controller's Service; pods and this machine reach it."""
API_PORT = 6443
ETCD_PORT = 23790
METRICS_PORT = 14443
NODE = "node"
PAUSE = "localhost/pause:1"


@dataclass(frozen=True)
class Layout:
    """The folders of one user: programs and images are kept, `run` lives from `up` to `down`."""

    root: Path

    @cached_property
    def programs(self) -> Path:
        return self.root / "programs"

    @cached_property
    def images(self) -> Path:
        return self.root / "images"

    @cached_property
    def store(self) -> Path:
        """containerd's images: kept between boots, for importing them takes longer than booting."""
        return self.root / "store"

    @cached_property
    def run(self) -> Path:
        return self.root / "run"

    @cached_property
    def pki(self) -> Path:
        return self.run / "pki"

    @cached_property
    def logs(self) -> Path:
        return self.run / "logs"

    @cached_property
    def kubeconfig(self) -> Path:
        return self.run / "admin.kubeconfig"

    @cached_property
    def socket(self) -> Path:
        return self.run / "containerd.sock"


def layout() -> Layout:
    """Return the current user's folders, below XDG_CACHE_HOME or ~/.cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Layout(root=cache / "lean-payments" / "cluster")
