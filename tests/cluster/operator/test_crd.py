"""The CRD against a real API server: samples are taken, and what is wrong is refused with the fix."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "k8s/samples"
PROGRAMS = Path.home() / ".cache/lean-payments/cluster/programs"


def program(pattern: str) -> str:
    found = sorted(PROGRAMS.glob(pattern))
    require(found, what=pattern.rpartition("/")[2], command="make cluster-tools")
    return str(found[-1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ApiServer:
    """Etcd and kube-apiserver, no controllers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        store, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens").write_text("token,admin,1,system:masters\n", encoding="utf-8")
        self.spawn(
            program("etcd-*/etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
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
        deadline = time.monotonic() + 60
        while self.kubectl("get", "--raw=/readyz").returncode and time.monotonic() < deadline:
            time.sleep(0.2)

    def spawn(self, *command: str) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        server = [f"--server=https://127.0.0.1:{self.port}", "--token=token", "--insecure-skip-tls-verify=true"]
        command = [program("clients-*/kubectl"), *server, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def dry_run(self, resource: dict[str, Any]) -> str:
        """What the API server says to ``resource``, without storing it."""
        done = self.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=json.dumps(resource))
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api"))
    try:
        server.start()
        done = server.kubectl("apply", "--server-side", "-f", str(ROOT / "chart/crds"))
        assert done.returncode == 0, done.stderr
        crd = "crd/paymentenvironments.payments.leanconstruction.io"
        done = server.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s")
        assert done.returncode == 0, done.stderr
        yield server
    finally:
        server.stop()


def sample(name: str) -> dict[str, Any]:
    environment: dict[str, Any] = next(yaml.safe_load_all((SAMPLES / name).read_text(encoding="utf-8")))
    return environment


def changed(name: str, path: str, value: Any) -> dict[str, Any]:
    """The sample with the field at ``path`` set to ``value``."""
    resource = copy.deepcopy(sample(name))
    *parents, last = path.split(".")
    place = resource
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return resource


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_sample_is_taken(api: ApiServer, file: Path) -> None:
    done = api.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(file))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "path", "value", "fix"),
    [
        ("minimal.yaml", "metadata.name", "a" * 41, "use 40 characters or fewer"),
        ("minimal.yaml", "spec.image", "app:latest", "name a tag other than latest"),
        ("minimal.yaml", "spec.image", "localhost:5000/app", "name a tag other than latest"),
        ("minimal.yaml", "spec.autoscaling", {"minReplicas": 11}, "lower it or raise maxReplicas"),
        ("minimal.yaml", "spec.worker.autoscaling", {"minReplicas": 11}, "lower it or raise maxReplicas"),
        ("minimal.yaml", "spec.release.retainSeconds", 1, "raise it, or lower drainSeconds"),
        ("minimal.yaml", "spec.release.promotion", "Never", 'supported values: "Auto", "Manual"'),
        ("production.yaml", "spec.image", "app:1", "write image@sha256:..."),
        ("production.yaml", "spec.release.bake.seconds", 59, "use 60 or more"),
        ("production.yaml", "spec.release.retainSeconds", 299, "use 300 or more"),
        ("production.yaml", "spec.release.drainSeconds", 4, "use 5 or more"),
        ("production.yaml", "spec.stripe.apiBase", "http://simulator:12111", "remove it in Live mode"),
        ("production.yaml", "spec.stripe.webhook.url", "http://pay.example.com", "must start with https://"),
    ],
)
def test_a_wrong_field_is_refused_with_its_fix(api: ApiServer, name: str, path: str, value: Any, fix: str) -> None:
    assert fix in api.dry_run(changed(name, path, value))


def test_times_may_be_seconds_in_test_mode(api: ApiServer) -> None:
    resource = changed("minimal.yaml", "spec.release", {"bake": {"seconds": 1}, "drainSeconds": 1, "retainSeconds": 1})
    assert "serverside-applied" in api.dry_run(resource)


def test_the_stripe_mode_cannot_be_changed(api: ApiServer) -> None:
    stored = json.dumps(changed("minimal.yaml", "metadata.name", "fixed-mode"))
    done = api.kubectl("apply", "--server-side", "-f", "-", stdin=stored)
    assert done.returncode == 0, done.stderr
    assert "spec.stripe.mode cannot be changed" in api.dry_run(
        changed("production.yaml", "metadata.name", "fixed-mode")
    )


def test_replicas_are_written_through_the_scale_subresource(api: ApiServer) -> None:
    api.kubectl(
        "apply", "--server-side", "-f", "-", stdin=json.dumps(changed("minimal.yaml", "metadata.name", "scaled"))
    )
    scaled = api.kubectl("scale", "penv/scaled", "--replicas=6")
    assert scaled.returncode == 0, scaled.stderr
    assert api.kubectl("get", "penv", "scaled", "-o=jsonpath={.spec.replicas}").stdout == "6"
