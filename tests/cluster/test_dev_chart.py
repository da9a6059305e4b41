"""The chart as skaffold.yaml installs it, with the images in place of those that skaffold builds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.cluster.environment import MANIFESTS, Namespace
from tests.cluster.node import clients
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NAME = "payments"


@pytest.fixture(scope="module")
def release(servers: Namespace) -> Iterator[Namespace]:
    """The release of skaffold's second configuration, in the servers' namespace."""
    helm = clients.client("helm")
    require(helm.exists(), what="Helm 4", command="make cluster-tools")
    servers.kubectl("apply", "-f", str(MANIFESTS.parent / "kind/secret.yaml"))
    (configured,) = list(yaml.safe_load_all((ROOT / "skaffold.yaml").read_text()))[1]["deploy"]["helm"]["releases"]
    images: dict[str, str] = {}
    for kind, prefix in (("service", "image"), ("operator", "operator.image")):
        repository, _, tag = servers.images[kind].rpartition(":")
        images |= {f"{prefix}.repository": repository, f"{prefix}.tag": tag}
    assert set(images) == set(configured["setValueTemplates"])
    values = [part for path in configured["valuesFiles"] for part in ("--values", str(ROOT / path))]
    sets = [part for name, value in images.items() for part in ("--set-string", f"{name}={value}")]
    where = ["--namespace", servers.name, "--kubeconfig", str(servers.cluster.kubeconfig)]
    chart = str(ROOT / configured["chartPath"])
    # without the operator the kind is not needed, and another test's may be there
    options = ["--skip-crds", "--wait", "--timeout", "300s"]
    command = [str(helm), "install", configured["name"], chart, *where, *values, *sets, *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr + servers.kubectl("get", "pods,events")
    yield servers
    subprocess.run([str(helm), "uninstall", configured["name"], *where], check=False, capture_output=True, timeout=120)


def test_the_service_answers_under_the_name_that_skaffold_forwards(release: Namespace) -> None:
    (forward,) = list(yaml.safe_load_all((ROOT / "skaffold.yaml").read_text()))[1]["portForward"]
    url = f"http://{forward['resourceName']}:{forward['port']}/health"
    status, answer = release.request(url)
    assert status == 200, answer
    assert answer["checks"] == {"database": True, "redis": True, "stripe": True}
