"""The operator is killed at its writes to Kubernetes and Stripe while it rotates secrets, and leaves nothing over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.operator.harness import Operator, Shop
from tests.cluster.operator.killing import Sweep
from tests.cluster.operator.stand_in import Simulator, Stream, current, managed, only_one_is_left
from tests.cluster.operator.test_environment import pods_of
from tests.cluster.operator.test_kills import SMALL, finished, proxy
from tests.cluster.proxy.outward import StripeProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.proxy.server import ApiProxy, CuttingProxy

__all__ = ["proxy"]
pytestmark = pytest.mark.timeout(8000)
TIMES = {"intervalSeconds": 86400, "overlapSeconds": 1, "maxOverlapSeconds": 60}


@pytest.fixture(scope="module")
def proxies(proxy: ApiProxy) -> Iterator[dict[str, CuttingProxy]]:
    """The operator's ways out."""
    with StripeProxy() as stripe:
        yield {"kubernetes": proxy, "stripe": stripe}


@pytest.fixture(scope="module")
def victim(
    shop: Shop, proxy: ApiProxy, proxies: dict[str, CuttingProxy], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    ways = {"HTTP_PROXY": proxies["stripe"].url, "NO_PROXY": "127.0.0.1,localhost"}
    folder = tmp_path_factory.mktemp("victim")
    with Operator((shop.namespace.name,), proxy.kubeconfig, folder, environment=ways) as running:
        shop.put(managed(shop, rotation=TIMES, **SMALL))
        shop.ready(seconds=600)
        yield running


def test_the_operator_killed_at_its_writes_finishes_the_rotation_of_the_webhook_secret(
    shop: Shop, victim: Operator, proxies: dict[str, CuttingProxy], *, whole: bool, say: Callable[[str], None]
) -> None:
    simulator = Simulator(shop)
    begun = current(shop, version=1)
    pods = pods_of(shop)

    def change(_number: int) -> None:
        begun.update(shop.status()["rotation"]["webhook"])
        shop.ask("rotate", secret="webhook")

    def over() -> None:
        current(shop, version=begun["version"] + 1)
        only_one_is_left(shop, simulator, former=begun["endpoint"])
        assert pods_of(shop) == pods

    with Stream(simulator, "/v1/customers"):
        Sweep(
            name="webhook-rotation-kills",
            victim=victim,
            proxies=proxies,
            change=change,
            finished=over,
            say=say,
        ).run(whole=whole)


def test_the_operator_killed_at_its_writes_finishes_the_rotation_of_the_api_key(
    shop: Shop, victim: Operator, proxies: dict[str, CuttingProxy], *, whole: bool, say: Callable[[str], None]
) -> None:
    """Proving a key reads at Stripe and writes nothing there, so there is no kill between writes to it."""
    first = shop.status()["active"]["revision"]
    begun: list[int] = []

    def change(number: int) -> None:
        begun.append(number)
        shop.secret(STRIPE_SECRET_KEY=f"sk_test_number{number}")

    def over() -> None:
        finished(shop, revision=first + begun[-1])
        assert shop.status()["rotation"]["apiKey"]["state"] == "Current"
        assert credentials(shop) == {revision["data"]["input"]["credentials"] for revision in revisions(shop)}

    Sweep(
        name="api-key-rotation-kills",
        victim=victim,
        proxies={"kubernetes": proxies["kubernetes"]},
        change=change,
        finished=over,
        say=say,
    ).run(whole=whole)


def revisions(shop: Shop) -> list[dict[str, Any]]:
    return shop.objects("controllerrevisions")


def credentials(shop: Shop) -> set[str]:
    """Digests of the versions that are kept."""
    prefix = f"{shop.name}-credentials-"
    found = (secret["metadata"]["name"] for secret in shop.objects("secrets"))
    return {name.removeprefix(prefix) for name in found if name.startswith(prefix)}
