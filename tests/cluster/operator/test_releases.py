"""Releases on real pods under constant load: good ones, bad ones and ways back, without one failed request.

The environment is the production sample, with the simulator as Stripe: two database roles, two workers, an Ingress.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cluster.chart import next_version
from tests.cluster.chart.release import PASSWORD, ROLES
from tests.cluster.node import ingress
from tests.cluster.operator.harness import SAMPLES
from tests.cluster.operator.loading import FRESH, HOST, RATE, WAYS, loaded, purchases, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.operator.harness import Operator, Shop

pytestmark = pytest.mark.timeout(3600)
ROUNDS, REQUESTS = 10, 100_000
KEPT: dict[str, Any] = {"retainSeconds": 600, "bake": {"seconds": 5, "intervalSeconds": 1}}
SHORT: dict[str, Any] = {"progressDeadlineSeconds": 60}
LONG: dict[str, Any] = {"smoke": {"attempts": 1, "timeoutSeconds": 240}}
DATABASE = "postgresql:5432/payments"


def laid_over(container: dict[str, Any]) -> dict[str, Any]:
    return {"podTemplate": {"spec": {"containers": [{"name": "api"} | container]}}}


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A release that must fail, why, and a word of what people are told."""

    reason: str
    says: str
    image: str = "service"
    changes: tuple[str, ...] = ()
    """Migrations of an image made for it."""
    release: dict[str, Any]
    api: dict[str, Any]


ANOTHER_SECRET = [
    {"name": "STRIPE_WEBHOOK_SECRET_FILE", "value": ""},
    {"name": "STRIPE_WEBHOOK_SECRET", "value": "whsec_anotherEndpointsSecret0123456789"},
]
NEVER_THERE = 'op.add_column("customers", sa.Column("never_there", sa.Text(), nullable=True))'
BAD: dict[str, Bad] = {
    "the image does not exist": Bad(
        reason="JobNotStarted",
        says="service:missing",
        image="localhost/payments-service:missing",
        release=SHORT,
        api={},
    ),
    "the pods crash": Bad(
        reason="ProgressDeadlineExceeded",
        says="broken on purpose",
        release=SHORT,
        api=laid_over({"command": ["python", "-c", "raise SystemExit('broken on purpose')"]}),
    ),
    "the pods are never ready": Bad(
        reason="ProgressDeadlineExceeded",
        says="0 of 1 api pods are ready",
        release=SHORT,
        api=laid_over({"readinessProbe": {"httpGet": {"path": "/nowhere", "port": "http"}}}),
    ),
    "smoke fails": Bad(reason="SmokeFailed", says="webhook", release=LONG, api=laid_over({"env": ANOTHER_SECRET})),
    "a migration fails half-way": Bad(
        reason="MigrationFailed",
        says="division by zero",
        changes=(next_version.ADDITIVE, NEVER_THERE),
        release=LONG,
        api={},
    ),
    "a migration destroys in the expand phase": Bad(
        reason="DestructiveMigration",
        says="drops a column",
        changes=(next_version.ADDITIVE, 'op.drop_column("customers", "email")'),
        release=LONG,
        api={},
    ),
}


@dataclass(frozen=True)
class Serving:
    """The environment behind its Service and its Ingress."""

    shop: Shop
    authority: Path
    """Who signed the Ingress's certificate."""

    def apply(self, *, number: int, image: str = "service", release: dict[str, Any] = KEPT, **api: Any) -> None:
        """A revision that differs from others by a setting that changes nothing."""
        manifest = self.shop.manifest(
            sample="production.yaml", image=image, release=KEPT | release, migrations={"backoffLimit": 0}
        )
        manifest["spec"]["api"]["config"]["PAYMENTS_EVENT_RETENTION_DAYS"] = str(100 + number)
        manifest["spec"]["api"] |= api
        self.shop.put(manifest)

    def active(self) -> str:
        return str(self.shop.status()["active"]["hash"])


@pytest.fixture(scope="module")
def serving(
    shop: Shop, operator: Operator, ingress_controller: None, tmp_path_factory: pytest.TempPathFactory
) -> Serving:
    assert (operator.process is not None, ingress_controller) == (True, None)
    shop.psql_script(ROLES)
    urls = {
        "app": f"postgresql://payments:{PASSWORD}@{DATABASE}",
        "owner": f"postgresql://payments_owner:{PASSWORD}@{DATABASE}",
    }
    shop.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "payments-database"}, "stringData": urls})
    folder = tmp_path_factory.mktemp("tls")
    authority = shop.namespace.tls_secret(folder, name="pay-example-com", host=HOST)
    _, way = yaml.safe_load_all((SAMPLES / "production.yaml").read_text())
    way["spec"]["ingressClassName"] = ingress.CLASS
    made = Serving(replace(shop, database="payments"), authority)
    made.apply(number=0)
    shop.put(way)
    made.shop.ready(seconds=600)
    return made


def test_releases_with_a_migration_and_ways_back_lose_no_request(
    serving: Serving,
    whole: bool,  # noqa: FBT001 - a fixture
    say: Callable[[str], None],
    tmp_path: Path,
) -> None:
    shop, started = serving.shop, time.monotonic()
    image = next_version.image(tmp_path)
    rows, left = stored(shop), {}
    with loaded(shop, "steady", authority=serving.authority, least=5) as steady:
        pass
    with loaded(shop, "load", authority=serving.authority) as results:
        for number in range(1, (ROUNDS if whole else 1) + 1):
            before = serving.active()
            serving.apply(number=number, image=image)
            status = shop.ready(seconds=600)
            left[before] = since(status)
            if number % 2:
                left[status["active"]["hash"]] = go_back(shop, before)
        if whole:
            time.sleep(max(0, REQUESTS / (WAYS * (RATE + FRESH)) - (time.monotonic() - started)))
    seconds = [last - at for digest, at in left.items() if (last := results.last_kept(digest))]
    say(
        f"{ROUNDS if whole else 1} releases with their ways back: {sum(results.failed.values())} of {results.total} "
        f"failed; p99 {results.p99()} ms (Service, Ingress, pod), before {steady.p99()} ms; the last kept connection "
        f"left {max(seconds):.1f} s after its switch at most"
    )
    assert (steady.failed, results.failed) == ({}, {})
    assert results.total >= (REQUESTS if whole else 1000)
    assert stored(shop) - rows == results.total + steady.total
    assert has_column(shop, "note_of_next")


def has_column(shop: Shop, name: str) -> bool:
    return shop.psql(f"SELECT count(*) FROM information_schema.columns WHERE column_name = '{name}'") == "1"


def go_back(shop: Shop, to: str) -> float:
    """Roll back and return when traffic moved."""
    asked = shop.ask("rollback")
    status = shop.until(partial(serves, to), what="back", seconds=120)
    assert shop.answer(asked, seconds=60)["state"] == "Done"
    return since(status)


def serves(digest: str, status: dict[str, Any]) -> Any:
    return status if status["active"]["hash"] == digest and status["active"].get("since") else None


def since(status: dict[str, Any]) -> float:
    return datetime.fromisoformat(status["active"]["since"]).timestamp()


def chosen(*, whole: bool) -> list[str]:
    """All of them, or one that changes from day to day."""
    names = list(BAD)
    return names if whole else [names[time.gmtime().tm_yday % len(names)]]


def test_a_bad_release_never_reaches_a_user(
    serving: Serving,
    whole: bool,  # noqa: FBT001 - a fixture
    say: Callable[[str], None],
    tmp_path: Path,
) -> None:
    shop, active = serving.shop, serving.active()
    names = chosen(whole=whole)
    images = {name: made for name in names if (made := made_for(BAD[name], tmp_path / str(len(name))))}
    rows = stored(shop)
    with loaded(shop, "bad", authority=serving.authority) as results:
        for number, name in enumerate(names, start=50):
            bad = BAD[name]
            if bad.reason == "MigrationFailed":
                shop.psql(next_version.REFUSE)
            serving.apply(number=number, image=images.get(name, bad.image), release=bad.release, **bad.api)
            failed = shop.until(partial(newest_failure, shop), seconds=600, what=name)
            say(f"{name}: {failed['reason']}: {failed['message']!r}")
            shop.psql(next_version.ALLOW)
            assert failed["reason"] == bad.reason
            assert bad.says in failed["message"]
            assert len(failed["message"]) < 600
            assert serving.active() == active
            assert shop.condition("Available")["status"] == "True"
    assert results.failed == {}
    assert stored(shop) - rows == results.total
    assert shop.namespace.until(lambda: revisions_of(shop) == {active}, seconds=120)
    assert not has_column(shop, "never_there")


def made_for(bad: Bad, folder: Path) -> str:
    """The image that has its migrations; empty when it needs none."""
    if not bad.changes:
        return ""
    folder.mkdir()
    return next_version.image(folder, *bad.changes, name=f"payments-service-{bad.reason.lower()}")


def revisions_of(shop: Shop) -> set[str]:
    """The revisions that have pods which do not end."""
    return {
        pod["metadata"]["labels"]["payments.leanconstruction.io/revision"]
        for pod in shop.pods("api")
        if "deletionTimestamp" not in pod["metadata"]
    }


def newest_failure(shop: Shop, status: dict[str, Any]) -> Any:
    """The failure of the revision that the spec asks for."""
    if shop.get()["metadata"]["generation"] != status.get("observedGeneration"):
        return None
    stalled = [c for c in status["conditions"] if c["type"] == "Stalled" and c["status"] == "True"]
    found = [entry for entry in status.get("failed", []) if stalled and _names(stalled[0], entry)]
    return found[0] if found else None


def _names(stalled: dict[str, Any], entry: dict[str, Any]) -> bool:
    return str(stalled["message"]).startswith(f"revision {entry['revision']}: ")


def test_errors_under_real_traffic_bring_the_old_revision_back(serving: Serving, say: Callable[[str], None]) -> None:
    shop, active = serving.shop, serving.active()
    # a call to a Stripe that is away takes seconds: a look must be long enough to see some end
    bake = {"seconds": 600, "intervalSeconds": 10, "minRequests": 3, "failureLimit": 2, "maxP99Millis": 60_000}
    broken = laid_over({"env": [{"name": "STRIPE_API_BASE", "value": "http://simulator:1"}]})
    with (
        purchases(shop, rate=4) as buyers,
        loaded(shop, "baking", authority=serving.authority) as results,
    ):
        serving.apply(number=90, release={"bake": bake}, **broken)
        shop.until(lambda status: status["active"]["hash"] != active, seconds=600, what="switched")
        switched = time.monotonic()
        shop.until(lambda status: status["active"]["hash"] == active, seconds=120, what="back")
        say(f"the way back began {time.monotonic() - switched:.0f} s after the switch")
        failure = shop.status()["failed"][0]
        time.sleep(3)
        buyers.stop()
        sold = buyers.result()
    say(f"of {sold['total']} purchases meanwhile {sold['failed']} met the broken revision: {sold['failed_by_kind']}")
    assert failure["reason"] == "BakeFailed"
    assert "5xx" in failure["message"] or "Stripe" in failure["message"]
    assert results.failed == {}
    assert set(sold["failed_by_kind"]) <= {"status 503", "status 502", "status 504"}
    assert sold["failed"] < sold["total"]
