"""The operator is killed at its writes, before and after the API server has taken them, and finishes all the same."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.operator import harness
from tests.cluster.operator.harness import Operator, Shop
from tests.cluster.operator.passed import Passed
from tests.cluster.proxy.server import ApiProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.proxy.requests import When

pytestmark = pytest.mark.timeout(4000)
SHARD_SECONDS = 3000
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


def release(shop: Shop, number: int) -> None:
    manifest = shop.manifest(**SMALL)
    manifest["spec"]["api"]["config"]["PAYMENTS_EVENT_RETENTION_DAYS"] = str(100 + number)
    shop.put(manifest)


def settled(status: dict[str, Any], *, former: int) -> Any:
    done = (status.get("active") or {}).get("revision") == former + 1 and not status.get("candidate")
    return status if done and status.get("stable") == former + 1 else None


def finished(shop: Shop, former: int) -> None:
    """The release is over and has left what it would have left without a kill."""
    status = shop.until(lambda seen: settled(seen, former=former), seconds=600, what="finished")
    shop.ready(revision=former + 1)
    assert not status.get("failed")
    digest = status["active"]["hash"]
    assert {pod["metadata"]["labels"][REVISION] for pod in live(shop)} == {digest}
    jobs = [job["metadata"]["name"] for job in shop.objects("jobs") if job["metadata"]["labels"][REVISION] == digest]
    assert all(job.endswith("-a1") for job in jobs)
    assert len(jobs) <= 3


REVISION = "payments.leanconstruction.io/revision"


def live(shop: Shop) -> list[dict[str, Any]]:
    shop.namespace.until(lambda: len(shop.pods("api")) == 1, seconds=90)
    return shop.pods("api")


def test_the_operator_killed_at_its_writes_finishes_the_release(
    shop: Shop,
    victim: Operator,
    proxy: ApiProxy,
    whole: bool,  # noqa: FBT001 - a fixture
    say: Callable[[str], None],
) -> None:
    passed = Passed("operator-kills", keep=whole)
    release(shop, 0)
    former, before = shop.status()["active"]["revision"], len(proxy.writes)
    finished(shop, former)
    writes = len(proxy.writes) - before
    say(f"a release makes {writes} writes")
    points: list[tuple[int, When]] = [(k, when) for k in range(1, writes + 1) for when in ("before", "after")]
    day = time.gmtime().tm_yday
    chosen = points if whole else [points[day * 7 % len(points)], points[(day * 7 + writes) % len(points)]]
    started = time.monotonic()
    for number, (k, when) in enumerate(passed.left(chosen), start=1):
        if time.monotonic() - started > SHARD_SECONDS:
            say(f"the shard is over after {number - 1} kills; run it again for the others")
            break
        trial(shop, victim, proxy, number=number, point=(k, when))
        passed.add((k, when))
        say(f"killed {when} write {k} of {writes} ({proxy.writes[before].resource} first): finished")


def trial(shop: Shop, victim: Operator, proxy: ApiProxy, *, number: int, point: tuple[int, When]) -> None:
    former = shop.status()["active"]["revision"]
    proxy.cut(*point, victim.kill)
    release(shop, number + former)
    proxy.wait_for_cut(seconds=180)
    victim.kill()
    victim.start()
    finished(shop, former)


@pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes minutes: make soak-operator")
def test_a_view_from_the_past_changes_nothing_in_the_end(shop: Shop, victim: Operator, proxy: ApiProxy) -> None:
    assert victim.process is not None
    former = shop.status()["active"]["revision"]
    release(shop, 900)
    for _ in range(3):
        time.sleep(4)
        with proxy.stale():
            time.sleep(3)
    finished(shop, former)
