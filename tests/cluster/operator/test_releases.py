"""Releases on real pods under constant load: good ones, bad ones and ways back, without one failed request."""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.chart import next_version
from tests.cluster.load.run import HostLoad
from tests.cluster.operator.loading import from_a_pod, loaded, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.operator.harness import Operator, Shop

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not os.environ.get("SOAK"), reason="takes an hour: make soak-operator"),
]
ROUNDS, REQUESTS = 10, 100_000
KEPT: dict[str, Any] = {"retainSeconds": 600, "bake": {"seconds": 5, "intervalSeconds": 1}}
SHORT: dict[str, Any] = KEPT | {"progressDeadlineSeconds": 45, "smoke": {"attempts": 1, "timeoutSeconds": 120}}


def laid_over(container: dict[str, Any]) -> dict[str, Any]:
    return {"podTemplate": {"spec": {"containers": [{"name": "api"} | container]}}}


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "the image does not exist": ("JobNotStarted", {"image": "localhost/payments-service:missing"}),
    "the pods crash": (
        "ProgressDeadlineExceeded",
        laid_over({"command": ["python", "-c", "raise SystemExit('broken')"]}),
    ),
    "the pods are never ready": (
        "ProgressDeadlineExceeded",
        laid_over({"readinessProbe": {"httpGet": {"path": "/nowhere", "port": "http"}}}),
    ),
    "smoke fails": (
        "SmokeFailed",
        laid_over({"env": [{"name": "STRIPE_WEBHOOK_SECRET_FILE", "value": "/run/secrets/payments/SECRET_KEY"}]}),
    ),
    "a migration fails half-way": ("MigrationFailed", {"image": "next"}),
    "a migration destroys in the expand phase": ("DestructiveMigration", {"image": "destructive"}),
}


@pytest.fixture(scope="module")
def serving(shop: Shop, operator: Operator) -> Shop:
    assert operator.process is not None
    shop.apply(release=KEPT)
    shop.ready(seconds=600)
    return shop


def apply(shop: Shop, *, number: int, image: str = "service", release: dict[str, Any] = KEPT, **api: Any) -> None:
    """A revision that differs from others by a setting that changes nothing."""
    manifest = shop.manifest(image=image, release=release, migrations={"backoffLimit": 0})
    manifest["spec"]["api"]["config"]["PAYMENTS_EVENT_RETENTION_DAYS"] = str(100 + number)
    manifest["spec"]["api"] |= api
    shop.put(manifest)


def test_releases_with_a_migration_and_ways_back_lose_no_request(
    serving: Shop,
    whole: bool,  # noqa: FBT001 - a fixture
    say: Callable[[str], None],
    tmp_path: Path,
) -> None:
    shop = serving
    image = next_version.image(tmp_path)
    rows, left = stored(shop), []
    with loaded(shop, least=10) as steady:
        pass
    with loaded(shop) as results:
        pod = from_a_pod(shop, "load", seconds=600 if whole else 45)
        for number in range(1, (ROUNDS if whole else 1) + 1):
            before = shop.status()["active"]["hash"]
            apply(shop, number=number, image=image)
            status = shop.ready(seconds=600)
            left.append((before, status["active"]["since"]))
            if number % 2:
                shop.annotate("rollback")
                shop.until(partial(serves, before), what="back", seconds=120)
                assert shop.status()["lastOperation"]["result"] == "Accepted"
        while whole and time.time() < status_deadline(left) and results.total < REQUESTS:
            time.sleep(10)
        results.runs.append(pod.result(within=900))
    seconds = [last - since(at) for digest, at in left if (last := results.last_kept(digest))]
    say(
        f"{len(left)} releases, {(len(left) + 1) // 2} ways back: {sum(results.failed.values())} of {results.total} "
        f"failed; p99 {results.p99()} ms, before {steady.p99()} ms; the last kept connection left "
        f"{max(seconds, default=0):.1f} s after the switch at most"
    )
    assert results.failed == {}
    assert results.total >= (REQUESTS if whole else 1000)
    assert stored(shop) - rows == results.total + steady.total


def status_deadline(left: list[tuple[str, str]]) -> float:
    return since(left[0][1]) + 3000


def since(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def chosen(*, whole: bool) -> list[str]:
    """All of them, or two that change from day to day."""
    names = list(BAD)
    first = time.gmtime().tm_yday % len(names)
    return names if whole else (names + names)[first : first + 2]


def test_a_bad_release_never_reaches_a_user(
    serving: Shop,
    whole: bool,  # noqa: FBT001 - a fixture
    say: Callable[[str], None],
    tmp_path: Path,
) -> None:
    shop = serving
    active = shop.status()["active"]["hash"]
    images = {"next": "", "destructive": ""}
    names = chosen(whole=whole)
    if any("half-way" in name for name in names):
        (tmp_path / "next").mkdir()
        images["next"] = next_version.image(tmp_path / "next", name="payments-service-refusing", change=ANOTHER)
        shop.psql(next_version.REFUSE)
    if any("destroys" in name for name in names):
        (tmp_path / "destructive").mkdir()
        destructive = 'op.drop_column("customers", "email")'
        images["destructive"] = next_version.image(
            tmp_path / "destructive", name="payments-service-destructive", change=destructive
        )
    with loaded(shop) as results:
        for number, name in enumerate(names, start=50):
            reason, change = BAD[name]
            change = dict(change)
            image = change.pop("image", "service")
            apply(shop, number=number, image=images.get(image, image), release=SHORT, **change)
            failed = shop.until(partial(newest_failure, shop), seconds=600, what=name)
            say(f"{name}: {failed['reason']}: {failed['message'][:100]!r}")
            assert failed["reason"] == reason
            assert shop.status()["active"]["hash"] == active
            assert shop.condition("Available")["status"] == "True"
    shop.psql(next_version.ALLOW)
    assert results.failed == {}


ANOTHER = 'op.add_column("customers", sa.Column("never_there", sa.Text(), nullable=True))'


def serves(digest: str, status: dict[str, Any]) -> bool:
    return bool(status["active"]["hash"] == digest)


def newest_failure(shop: Shop, status: dict[str, Any]) -> Any:
    """The failure of the revision that the spec asks for."""
    if shop.get()["metadata"]["generation"] != status.get("observedGeneration"):
        return None
    stalled = [c for c in status["conditions"] if c["type"] == "Stalled" and c["status"] == "True"]
    found = [entry for entry in status.get("failed", []) if stalled and entry["reason"] == stalled[0]["reason"]]
    return found[0] if found else None


def test_errors_under_real_traffic_bring_the_old_revision_back(serving: Shop, say: Callable[[str], None]) -> None:
    shop = serving
    active, key = shop.status()["active"]["hash"], shop.api_key()
    bake = {"seconds": 600, "intervalSeconds": 1, "minRequests": 3, "failureLimit": 2}
    broken = laid_over({"env": [{"name": "STRIPE_API_BASE", "value": "http://simulator:1"}]})
    url = shop.address() + "/api/v1/payments/create-subscription"
    body = '{"lookup_key": "pro_monthly", "email": "u{{id}}@example.com", "payment_method_id": "pm_card_visa"}'
    headers = ("--header", f"Authorization: Bearer {key}", "--header", "Idempotency-Key: load-{{id}}")
    with (
        HostLoad(url, "--seconds", "3600", "--rate", "4", "--body", body, "--timeout", "60", *headers) as buyers,
        loaded(shop) as results,
    ):
        apply(shop, number=90, release=KEPT | {"bake": bake}, **broken)
        shop.until(lambda status: status["active"]["hash"] != active, seconds=600, what="switched")
        switched = time.monotonic()
        shop.until(lambda status: status["active"]["hash"] == active, seconds=120, what="back")
        say(f"the way back began {time.monotonic() - switched:.0f} s after the switch")
        failure = shop.status()["failed"][0]
        assert failure["reason"] == "BakeFailed"
        assert "5xx" in failure["message"] or "Stripe" in failure["message"]
        time.sleep(3)
        buyers.stop()
        sold = buyers.result()
    assert results.failed == {}
    assert set(sold["failed_by_kind"]) <= {"status 503", "status 502", "status 504"}
    assert sold["failed"] < sold["total"]
