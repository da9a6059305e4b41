"""The README's commands, as written, in a namespace of the test's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cluster import environment
from tests.cluster.chart.release import Release, helm
from tests.cluster.node import volumes
from tests.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Cluster, Namespace

pytestmark = [pytest.mark.timeout(1800), pytest.mark.soak]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def fresh(cluster: Cluster, images: dict[str, str]) -> Iterator[Namespace]:
    """What k8s/dev/namespace.yaml makes, under another name, with the volume that a claim waits for."""
    require(cluster.place, what="our own node", command="unset TEST_KUBECONFIG")
    require(helm(4).exists(), what="Helm 4", command="make cluster-tools")
    made = environment.new_namespace(cluster, images=images)
    made.create()
    try:
        assert cluster.place is not None
        cluster.kubectl(
            "apply", "-f", "-", stdin=volumes.provide(cluster.place, made.name, claim=(made.name, "postgresql"))
        )
        yield made
    finally:
        made.remove()


def test_the_install_commands_of_the_readme_work(fresh: Namespace) -> None:
    block = re.findall(r"## On Kubernetes.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    up, images, namespace, *commands = block.splitlines()
    assert up.startswith("make cluster-up"), "the cluster runs already"
    assert images == "make images"
    assert namespace == "kubectl apply -f k8s/dev/namespace.yaml"
    typed = "\n".join(commands).replace("payments-dev", fresh.name)
    for short, dev in (("service", "payments-service"), ("postgresql", "payments-test-postgresql")):
        assert fresh.images[short].startswith(f"localhost/{dev}:"), "what `make images` tags as :dev"
    said = Release(fresh, name="payments").shell(f"cd {ROOT}\n{typed}")
    assert "ok   canceled" in said
