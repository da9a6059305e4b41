"""The verbs against real releases: an operator with its shipped rights, real pods, manual promotion."""

from __future__ import annotations

import itertools
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster import environment
from tests.cluster.operator.harness import Operator, Shop, grant, install_crd, token_kubeconfig
from tests.cluster.plugin.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.environment import Cluster

pytestmark = pytest.mark.timeout(600)  # the images may have to be built first
MANUAL = {"promotion": "Manual", "retainSeconds": 600}
CANARY = "0123456789abcdef0123456789abcdef-canary"
_numbers = itertools.count(100)


@dataclass(frozen=True, kw_only=True)
class Front(Desk):
    """A desk in front of one environment whose spec the test changes."""

    shop: Shop

    def change(self, **spec: Any) -> None:
        """Change the spec so that a new revision is made."""
        manifest = self.shop.manifest(release=MANUAL, **spec)
        manifest["spec"]["api"]["config"]["PAYMENTS_DATABASE_POOL_SIZE"] = str(next(_numbers) % 20 + 2)
        self.namespace.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def to_hold(self) -> int:
        """Begin a release, wait until it waits for a person, and return its number."""
        self.change()
        self.type("status", "-w", "--until", "hold", "--timeout", "240s")
        found = self.look()
        assert (found["state"], found["step"]) == ("Waiting", "Hold"), found
        return int(found["revision"])


@pytest.fixture(scope="module")
def desk(
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
            assert "Revision 1 serves" in made.type("status", "-w", "--timeout", "300s")
            yield made
    finally:
        namespace.remove()


def test_a_settled_environment_is_shown_with_its_pods(desk: Front) -> None:
    found = desk.look()
    serving = next(side for side in found["sides"] if side["traffic"])
    assert serving["ready"] >= 1
    assert {pod["component"] for pod in serving["pods"]} == {"api", "worker"}
    assert "schema" in found["facts"]["database"]


def test_a_promotion_moves_traffic_and_a_rollback_brings_it_back(desk: Front) -> None:
    revision = desk.to_hold()
    before = {side["colour"]: side for side in desk.look()["sides"]}
    assert before["blue"]["traffic"]
    assert not before["green"]["traffic"]
    assert before["green"]["ready"]
    said = desk.type("promote", "--revision", str(revision), "-w", "--timeout", "240s")
    assert f"Revision {revision} serves" in said
    assert "traffic moves at once" in desk.type("rollback", "--dry-run")
    assert desk.look()["sides"][0]["revision"] == revision
    back = before["blue"]["revision"]
    desk.type("rollback", "-w", "--timeout", "240s")
    taking = [side["revision"] for side in desk.look()["sides"] if side["traffic"]]
    assert taking == [back]
    assert f"{revision} " in desk.type("history")


def test_an_abort_leaves_the_serving_revision_alone(desk: Front) -> None:
    revision = desk.to_hold()
    serving = next(side["revision"] for side in desk.look()["sides"] if side["traffic"])
    stale = desk.type("promote", "--revision", str(revision - 1), code=3)
    assert f"revision {revision - 1} is stale: revision {revision} is being released" in stale
    desk.type("abort", "--revision", str(revision), "-w", "--timeout", "120s")
    assert next(side["revision"] for side in desk.look()["sides"] if side["traffic"]) == serving
    assert "no revision is being released" in desk.type("abort", code=3)
    assert f"Revision {revision} failed" in desk.type("status", code=1)


def test_a_failed_revision_is_tried_again(desk: Front) -> None:
    revision = desk.to_hold()
    desk.type("abort", "-w", "--timeout", "120s")
    desk.type("retry", "--revision", str(revision))
    desk.type("status", "-w", "--until", "hold", "--timeout", "240s")
    found = desk.look()
    assert (found["revision"], found["state"]) == (revision, "Waiting")
    assert "attempt 2" in desk.type("history") or "releasing" in desk.type("history")
    desk.type("promote", "-w", "--timeout", "240s")


def test_a_paused_release_stands_still_until_it_is_resumed(desk: Front) -> None:
    desk.type("pause")
    desk.change(suspend=True)
    desk.shop.until(lambda _: desk.look()["state"] == "Paused", what="paused")
    assert "is paused" in desk.type("status")
    desk.type("resume")
    desk.type("status", "-w", "--until", "hold", "--timeout", "240s")
    desk.type("abort", "-w", "--timeout", "120s")


def test_an_image_that_does_not_exist_is_seen_in_the_pods(desk: Front) -> None:
    desk.change(image="localhost/lean-payments-service:never-built", migrations={"mode": "Disabled"})

    def trouble(_: dict[str, Any]) -> str:
        pods = [pod for side in desk.look()["sides"] if side["colour"] == "green" for pod in side["pods"]]
        return next((pod["trouble"] for pod in pods if pod["trouble"]), "")

    assert "never-built" in desk.shop.until(trouble, what="in trouble", seconds=180)
    assert "ImagePull" in (said := desk.type("status")) or "ErrImage" in said
    desk.type("abort", "-w", "--timeout", "120s")


def test_plan_logs_and_lint_read_what_is_there(desk: Front) -> None:
    assert "schema" in desk.type("plan")
    assert "shop-api-" in desk.type("logs", "--blue", "--component", "api")
    assert "shop-plan-" in desk.type("logs", "--step", "plan")
    path = desk.folder / "stored.json"
    path.write_text(json.dumps(desk.shop.get()))
    assert "✓" in desk.type("lint", "-f", str(path))


def test_a_report_of_a_real_release_holds_no_secret(desk: Front, tmp_path: Path) -> None:
    path = tmp_path / "report.tar.gz"
    desk.type("report", "--file", str(path))
    with tarfile.open(path) as archive:
        found = [archive.extractfile(member) for member in archive.getmembers()]
        text = "\n".join(file.read().decode() for file in found if file is not None)
    assert "shop-api-" in text
    assert CANARY not in text
    assert "whsec_simulator0123456789abcdef" not in text
    assert "development-only" not in text
