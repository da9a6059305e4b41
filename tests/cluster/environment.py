"""A namespace of the test cluster with what the product needs in it: servers, simulator, certificate."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.cluster.node import certificates, clients, volumes
from tests.cluster.node.layout import Layout, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MANIFESTS = Path(__file__).parents[2] / "k8s/dev"
_SHORT = {
    "payments-simulator": "simulator",
    "payments-test-postgresql": "postgresql",
    "payments-test-valkey": "valkey",
}
_WAIT = "--timeout=180s"


@dataclass(frozen=True)
class Cluster:
    """The cluster that tests run on."""

    kubeconfig: Path
    place: Layout | None
    """Folders of our own node; None for a cluster that TEST_KUBECONFIG names."""

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a kubectl on this cluster, for a test that starts it itself."""
        own = clients.client("kubectl")
        program = str(own) if own.exists() else (shutil.which("kubectl") or "kubectl")
        return [program, f"--kubeconfig={self.kubeconfig}", *arguments]

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it prints; its complaint is in the error."""
        command = self.command(*arguments)
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=stdin, timeout=300)
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout


def given() -> Cluster | None:
    """Return the cluster of TEST_KUBECONFIG, if that is set."""
    path = os.environ.get("TEST_KUBECONFIG")
    return Cluster(kubeconfig=Path(path), place=None) if path else None


def own() -> Cluster:
    """Return this machine's node, running or not."""
    return Cluster(kubeconfig=layout().kubeconfig, place=layout())


def manifests(file: str, *, images: Mapping[str, str]) -> str:
    """Return a file of k8s/dev with the images that were built in place of the `:dev` ones."""

    def built(match: re.Match[str]) -> str:
        return images[_SHORT[match[1]]]

    return re.sub(r"localhost/([a-z-]+):dev", built, (MANIFESTS / file).read_text())


@dataclass(frozen=True)
class Namespace:
    """One namespace that enforces the `restricted` level."""

    cluster: Cluster
    name: str
    images: Mapping[str, str]

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.name}", *arguments, stdin=stdin, check=check)

    def create(self) -> None:
        """Make it with the labels of k8s/dev/namespace.yaml."""
        content = yaml.safe_load((MANIFESTS / "namespace.yaml").read_text())
        content["metadata"]["name"] = self.name
        self.cluster.kubectl("create", "-f", "-", stdin=json.dumps(content))

    def remove(self) -> None:
        """Delete it and its volume, without waiting for the pods to end."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false", check=False)
        self.cluster.kubectl("delete", "persistentvolume", self.name, "--wait=false", "--ignore-not-found", check=False)

    def apply(self, file: str) -> None:
        """Apply a file of k8s/dev."""
        self.kubectl("apply", "-f", "-", stdin=manifests(file, images=self.images))

    def servers(self) -> None:
        """Run PostgreSQL (its data survives the pod), Valkey and the simulator, and wait until they answer."""
        if self.cluster.place is not None:
            volume = volumes.provide(self.cluster.place, self.name, claim=(self.name, "postgresql"))
            self.cluster.kubectl("apply", "-f", "-", stdin=volume)
        for file in ("postgresql.yaml", "valkey.yaml", "simulator.yaml"):
            self.apply(file)
        for workload in ("statefulset/postgresql", "deployment/valkey", "deployment/simulator"):
            self.kubectl("rollout", "status", workload, _WAIT)

    def tls_secret(self, folder: Path, *, name: str, host: str) -> Path:
        """Make a certificate for the host, store it as a Secret and return the authority that signed it."""
        certificates.authority(folder, name="authority")
        certificates.issue(folder, name=name, subject=f"/CN={host}", names=(host,), by="authority")
        files = (f"--cert={folder / name}.crt", f"--key={folder / name}.key")
        self.kubectl("create", "secret", "tls", name, *files)
        return folder / "authority.crt"

    def until(self, condition: Callable[[], Any], *, seconds: float = 120, pause: float = 1.0) -> Any:
        """Ask every `pause` seconds until the condition is true; return what it says then, or when the time is over."""
        deadline = time.monotonic() + seconds
        while not (found := condition()) and time.monotonic() < deadline:
            time.sleep(pause)
        return found

    def request(
        self,
        url: str,
        *,
        method: str = "GET",
        form: str = "",
        body: Any = None,
        from_: str = "deployment/simulator",
        bearer: str = "sk_test_simulator",
        seconds: float = 20,
    ) -> tuple[int, Any]:
        """Send a request from a pod and return its status and its JSON; status 0 when nothing answers in time."""
        data = form or (json.dumps(body) if body is not None else "")
        kind = "application/json" if body is not None else "application/x-www-form-urlencoded"
        arguments = [url, method, kind, data, bearer, str(seconds)]
        answer = self.kubectl("exec", "-i", from_, "--", "python", "-c", _CLIENT, *arguments)
        status, _, text = answer.partition("\n")
        return int(status), json.loads(text) if text.strip().startswith(("{", "[")) else text

    def connects(self, host: str, port: int, *, from_: str) -> bool:
        """Tell whether a pod can open a TCP connection within two seconds."""
        answer = self.kubectl("exec", from_, "--", "python", "-c", _CONNECT, host, str(port)).strip()
        assert answer in {"open", "closed"}, answer
        return answer == "open"


_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
    print("open")
except OSError:
    print("closed")
"""
_CLIENT = """
import sys, urllib.error, urllib.request
url, method, kind, data, bearer, seconds = sys.argv[1:]
headers = {"Content-Type": kind, "Authorization": f"Bearer {bearer}"}
asked = urllib.request.Request(url, data=data.encode() or None, headers=headers, method=method)
try:
    with urllib.request.urlopen(asked, timeout=float(seconds)) as answer:
        print(answer.status, answer.read().decode(), sep="\\n")
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode(), sep="\\n")
except OSError:
    print(0)
"""


def new_namespace(cluster: Cluster, *, images: Mapping[str, str]) -> Namespace:
    """Return a namespace with a name of its own, not made yet."""
    return Namespace(cluster=cluster, name=f"test-{uuid.uuid4().hex[:8]}", images=images)
