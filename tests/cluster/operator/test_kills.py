"""The operator is killed at its writes of a release, before and after the API server has taken them, and finishes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.operator import harness
from tests.cluster.operator.harness import Operator, Shop
from tests.cluster.operator.killing import Sweep
from tests.cluster.proxy.server import ApiProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(4000)
REVISION = "payments.leanconstruction.io/revision"
RELEASE = {
    "progressDeadlineSeconds": 300,
    "smoke": {"attempts": 3},
    "cutover": {"mode": "Overlap", "overlapSeconds": 0},
    "bake": {"seconds": 1, "intervalSeconds": 1},
    "drainSeconds": 1,
    "retainSeconds": 1,
}
SMALL: dict[str, Any] = {"replicas": 1, "autoscaling": {"mode": "Disabled"}, "release": RELEASE}


@pytest.fixture(scope="module")
def proxy(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProxy]:
    """The way of the operator to the API server, with the rights that the chart ships."""
    with ApiProxy(harness.token_kubeconfig(shop.namespace, tmp_path_factory.mktemp("proxy"))) as running:
        yield running


@pytest.fixture(scope="module")
def victim(shop: Shop, proxy: ApiProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("victim")
    with Operator((shop.namespace.name,), proxy.kubeconfig, folder) as running:
        shop.apply(**SMALL)
        shop.ready(seconds=600)
        yield running


def release(shop: Shop) -> None:
    """Ask for the next release: the number of the revision makes it another one."""
    manifest = shop.manifest(**SMALL)
    number = shop.status()["active"]["revision"]
    manifest["spec"]["api"]["config"]["PAYMENTS_EVENT_RETENTION_DAYS"] = str(100 + number)
    shop.put(manifest)


def settled(status: dict[str, Any], *, revision: int) -> Any:
    done = (status.get("active") or {}).get("revision") == revision and not status.get("candidate")
    return status if done and status.get("stable") == revision else None


def finished(shop: Shop, *, revision: int) -> None:
    """The release is over and has left what it would have left without a kill."""
    status = shop.until(lambda seen: settled(seen, revision=revision), seconds=600, what="finished")
    shop.ready(revision=revision)
    assert not status.get("failed")
    digest = status["active"]["hash"]
    assert {pod["metadata"]["labels"][REVISION] for pod in live(shop)} == {digest}
    jobs = [job["metadata"]["name"] for job in shop.objects("jobs") if job["metadata"]["labels"][REVISION] == digest]
    assert all(job.endswith("-a1") for job in jobs)
    assert len(jobs) <= 3


def live(shop: Shop) -> list[dict[str, Any]]:
    shop.namespace.until(lambda: len(shop.pods("api")) == 1, seconds=90)
    return shop.pods("api")


def test_the_operator_killed_at_its_writes_finishes_the_release(
    shop: Shop, victim: Operator, proxy: ApiProxy, *, whole: bool, say: Callable[[str], None]
) -> None:
    first = shop.status()["active"]["revision"]
    begun: list[int] = []

    def change(number: int) -> None:
        begun.append(number)
        release(shop)

    Sweep(
        name="release-kills",
        victim=victim,
        proxies={"kubernetes": proxy},
        change=change,
        finished=lambda: finished(shop, revision=first + begun[-1]),
        say=say,
    ).run(whole=whole)


@pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes minutes: make soak-operator")
def test_a_view_from_the_past_changes_nothing_in_the_end(shop: Shop, victim: Operator, proxy: ApiProxy) -> None:
    """An old Lease is in it too: the operator takes its own for another's, ends, and is started again."""
    revision = shop.status()["active"]["revision"] + 1
    release(shop)
    for _ in range(3):
        time.sleep(4)
        with proxy.stale():
            time.sleep(3)

    def over(status: dict[str, Any]) -> Any:
        if victim.ended:
            victim.start()
        return settled(status, revision=revision)

    shop.until(over, seconds=600, what="finished")
    finished(shop, revision=revision)
