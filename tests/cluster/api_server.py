"""Etcd and kube-apiserver alone, started in seconds: for tests that need no pod."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.node.layout import layout
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMIN: Final = "admin"
NOBODY: Final = "nobody"
"""Users of the API server; their tokens are their names. NOBODY has only the rights that a test gives."""

CRDS: Final = Path(__file__).parents[2] / "chart/crds"


def program(pattern: str) -> str:
    found = sorted(layout().programs.glob(pattern))
    require(found, what=pattern.rpartition("/")[2], command="make cluster-tools")
    return str(found[-1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ApiServer:
    """Etcd and kube-apiserver, no controllers but, where a test asks for it, the garbage collector."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        store, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens").write_text(f"{ADMIN},admin,1,system:masters\n{NOBODY},{NOBODY},2\n", encoding="utf-8")
        self.spawn(
            program("etcd-*/etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        self.spawn(
            program("hyperkube-*/kube-apiserver"),
            f"--etcd-servers={store}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={self.folder / 'tokens'}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.99.0.0/16",
            "--authorization-mode=RBAC",
        )
        deadline = time.monotonic() + 180
        while self.kubectl("get", "--raw=/readyz").returncode and time.monotonic() < deadline:
            time.sleep(0.2)

    def collect_garbage(self) -> None:
        """Delete what has lost its owners, from some seconds later on."""
        self.spawn(
            program("hyperkube-*/kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig(ADMIN)}",
            "--controllers=garbage-collector-controller",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def spawn(self, *command: str) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        server = [f"--server={self.url}", f"--token={ADMIN}", "--insecure-skip-tls-verify=true"]
        command = [program("clients-*/kubectl"), *server, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, user: str, *, namespace: str = "default") -> Path:
        """Write a kubeconfig of one of the users."""
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        context = {"cluster": "test", "user": user, "namespace": namespace}
        content: Mapping[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": user}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path = self.folder / f"kubeconfig-{user}-{namespace}"
        path.write_text(json.dumps(content))
        return path

    def install_crds(self) -> None:
        """Install what the chart installs, and wait until it is served."""
        for arguments in (
            ("apply", "--server-side", "-f", str(CRDS)),
            ("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s"),
        ):
            done = self.kubectl(*arguments)
            assert done.returncode == 0, done.stderr
