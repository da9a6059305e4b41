"""The verbs against real releases: an operator with its shipped rights, real pods, manual promotion."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster import environment
from tests.cluster.operator.harness import Operator, Shop, grant, install_crd, token_kubeconfig
from tests.cluster.plugin.person import Person

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.environment import Cluster

pytestmark = [
    pytest.mark.timeout(1500),  # the images may have to be built first
    pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes minutes: make soak-plugin"),
]
MANUAL = {
    "promotion": "Manual",
    "retainSeconds": 900,
    "progressDeadlineSeconds": 600,
    "smoke": {"timeoutSeconds": 300, "attempts": 5},
}
LONG = ("--timeout", "900s")
"""A busy machine has two cores for all pods; how fast a release is, other tests measure."""
CANARY = "0123456789abcdef0123456789abcdef-canary"
NEXT = "whsec_next0123456789abcdef"
_numbers = itertools.count(100)


@dataclass(frozen=True, kw_only=True)
class Front(Person):
    """A person in front of one environment whose spec the test changes."""

    shop: Shop

    def change(self, **spec: Any) -> None:
        """Change the spec so that a new revision is made."""
        manifest = self.shop.manifest(release=MANUAL, **spec)
        manifest["spec"]["api"]["config"]["PAYMENTS_DATABASE_POOL_SIZE"] = str(next(_numbers) % 20 + 2)
        self.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def to_hold(self) -> int:
        """Begin a release, wait until it waits for a person, and return its number."""
        self.change()
        self.type("status", "-w", "--until", "hold", *LONG)
        found = self.look()
        assert (found["state"], found["step"]) == ("Waiting", "Hold"), found
        return int(found["revision"])


@pytest.fixture(scope="module")
def person(
    cluster: Cluster, images: dict[str, str], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """An environment that serves its first revision."""
    namespace = environment.new_namespace(cluster, images=images)
    namespace.create()
    try:
        namespace.servers()
        install_crd(namespace)
        grant(namespace)
        work = tmp_path_factory.mktemp("operator")
        shop = Shop(namespace)
        shop.secret()
        with Operator((namespace.name,), token_kubeconfig(namespace, work), work):
            made = Front(namespace=namespace, folder=folder, shop=shop)
            shop.apply(release=MANUAL | {"promotion": "Auto"})
            assert "Revision 1 serves" in made.type("status", "-w", *LONG)
            yield made
    finally:
        namespace.remove()


def test_a_settled_environment_is_shown_with_its_pods(person: Front) -> None:
    found = person.look()
    serving = next(side for side in found["sides"] if side["traffic"])
    assert serving["ready"] >= 1
    assert {pod["component"] for pod in serving["pods"]} == {"api", "worker"}
    assert "schema" in found["facts"]["database"]


def test_a_release_is_paused_resumed_promoted_and_rolled_back(person: Front) -> None:
    person.type("pause")
    person.change(suspend=True)
    person.shop.until(lambda _: person.look()["state"] == "Paused", what="paused")
    person.type("resume")
    person.type("status", "-w", "--until", "hold", *LONG)
    found = person.look()
    revision, sides = found["revision"], {side["colour"]: side for side in found["sides"]}
    assert (sides["blue"]["traffic"], sides["green"]["traffic"]) == (True, False)
    assert sides["green"]["ready"]
    assert f"Revision {revision} serves" in person.type("promote", "--revision", str(revision), "-w", *LONG)
    assert "traffic moves at once" in person.type("rollback", "--dry-run")
    assert serving(person) == revision
    person.type("rollback", "-w", *LONG)
    assert serving(person) == sides["blue"]["revision"]
    assert f"Revision {revision} was rolled back" in person.type("status", "-w", *LONG, code=1)
    assert "RolledBack" in person.type("history")


def serving(person: Front) -> int:
    """The only revision that takes traffic."""
    (revision,) = [side["revision"] for side in person.look()["sides"] if side["traffic"]]
    return int(revision)


def test_an_aborted_revision_leaves_the_serving_one_alone_and_can_be_tried_again(person: Front) -> None:
    before = serving(person)
    revision = person.to_hold()
    stale = person.type("promote", "--revision", str(revision - 1), code=3)
    assert f"revision {revision - 1} is stale: revision {revision} is being released" in stale
    person.type("abort", "--revision", str(revision), "-w", *LONG)
    assert serving(person) == before
    assert "no revision is being released" in person.type("abort", code=3)
    assert f"Revision {revision} was aborted" in person.type("status", "-w", *LONG, code=1)
    assert "attempt 2" in person.type("retry", "--revision", str(revision))
    person.shop.until(lambda _: person.look()["state"] == "Waiting", what="waiting again", seconds=400)
    assert person.look()["revision"] == revision
    person.type("abort", "-w", *LONG)


def test_an_image_that_does_not_exist_is_seen_in_the_pods(person: Front) -> None:
    person.change(image="localhost/lean-payments-service:never-built", migrations={"mode": "Disabled"})

    def trouble(_: dict[str, Any]) -> str:
        pods = [pod for side in person.look()["sides"] if side["colour"] == "green" for pod in side["pods"]]
        return next((pod["trouble"] for pod in pods if pod["trouble"]), "")

    assert "never-built" in person.shop.until(trouble, what="in trouble", seconds=180)
    assert "ImagePull" in (said := person.type("status")) or "ErrImage" in said
    person.type("abort", "-w", *LONG)


def test_plan_logs_and_lint_read_what_is_there(person: Front) -> None:
    assert "schema" in person.type("plan")
    assert "shop-api-" in person.type("logs", "--blue", "--component", "api")
    assert "shop-plan-" in person.type("logs", "--step", "plan")
    path = person.folder / "stored.json"
    path.write_text(json.dumps(person.shop.get()))
    assert "✓" in person.type("lint", "-f", str(path))


def test_an_image_is_planned_before_it_is_released(person: Front) -> None:
    before = person.shop.get()["spec"]
    asked = ("plan", "--timeout", "300s", "--image")
    assert "Nothing to migrate" in person.type(*asked, person.namespace.images["service"])
    assert "cannot be planned" in person.type(*asked, "localhost/lean-payments-service:never-built", code=3)
    mine = "--selector=app.kubernetes.io/managed-by=kubectl-payments"
    assert not person.namespace.kubectl("get", "jobs", mine, "--output=name").strip()
    assert person.shop.get()["spec"] == before


def test_a_person_replaces_a_secret_by_the_steps_that_rotate_says(person: Front) -> None:
    before = {secret["what"]: secret for secret in person.look()["secrets"]}
    assert before["api-key"]["fingerprint"]
    assert "into the Secret payments, key STRIPE_SECRET_KEY" in person.type("rotate", "api-key", code=3)
    steps = person.type("rotate", "webhook", "--dry-run", code=3)
    assert person.type("rotate", "webhook", code=3) == steps
    typed(person, steps, value=NEXT)

    def renewed(_: dict[str, Any]) -> bool:
        now = {secret["what"]: secret for secret in person.look()["secrets"]}
        return bool(now["webhook"]["version"] > before["webhook"]["version"])

    person.shop.until(renewed, what="rotated")


def test_a_managed_webhook_secret_is_rotated_at_once_when_it_has_leaked(person: Front) -> None:
    shop = person.shop
    url = f"http://{shop.name}-api.{person.namespace.name}.svc/api/v1/webhooks/stripe"
    webhook = {"provider": "Managed", "url": url, "rotation": {"overlapSeconds": 3, "maxOverlapSeconds": 60}}
    stripe = shop.manifest()["spec"]["stripe"] | {"apiBase": shop.address("simulator"), "webhook": webhook}
    person.change(stripe=stripe)
    person.type("status", "-w", "--until", "hold", *LONG)
    person.type("promote", "-w", *LONG)

    def made(status: dict[str, Any]) -> Any:
        found = status["rotation"]["webhook"]
        return found if found.get("endpoint") and found["state"] == "Current" else None

    before = shop.until(made, seconds=300, what="an endpoint of the operator's")
    assert "a second endpoint is made at Stripe" in person.type("rotate", "webhook", "--dry-run")
    assert shop.until(made)["version"] == before["version"]
    said = person.type("rotate", "webhook", "--compromised")
    assert "rotate webhook done" in said
    assert "without an overlap" in said
    shop.until(
        lambda status: (found := made(status)) and found["endpoint"] != before["endpoint"], seconds=300, what="rotated"
    )
    (now,) = [secret for secret in person.look()["secrets"] if secret["what"] == "webhook"]
    assert now["fingerprint"] != before["fingerprint"]


def typed(person: Front, steps: str, *, value: str) -> None:
    """Type the command that writes the new value, as it stands in the steps."""
    (line,) = [line.strip() for line in steps.splitlines() if line.strip().startswith("kubectl patch secret")]
    command = shlex.join(person.namespace.cluster.command()) + line.removeprefix("kubectl")
    environ = os.environ | {"VALUE": value}
    subprocess.run(["bash", "-euc", command], env=environ, check=True, capture_output=True, timeout=60)


def test_a_report_of_a_real_release_holds_no_secret(person: Front, tmp_path: Path) -> None:
    path = tmp_path / "report.tar.gz"
    person.type("report", "--file", str(path))
    with tarfile.open(path) as archive:
        found = [archive.extractfile(member) for member in archive.getmembers()]
        text = "\n".join(file.read().decode() for file in found if file is not None)
    assert "shop-api-" in text
    assert CANARY not in text
    assert "whsec_simulator0123456789abcdef" not in text
    assert NEXT not in text
    assert "development-only" not in text
