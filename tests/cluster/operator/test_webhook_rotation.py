"""The webhook signing secret is rotated under a stream of events: none is rejected, lost or applied twice."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.cluster.operator.test_environment import pods_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.operator.harness import Operator, Shop

pytestmark = pytest.mark.timeout(1800)
TIMES = {"intervalSeconds": 86400, "overlapSeconds": 3, "maxOverlapSeconds": 120}
PAUSE_SECONDS = 0.1


class Simulator:
    """Stripe's stand-in in the namespace, asked from this machine."""

    def __init__(self, shop: Shop) -> None:
        self.stripe = shop.address("simulator")
        self.control = self.stripe.replace(":12111", ":12112")

    def ask(self, path: str, *, method: str = "GET", form: dict[str, str] | None = None, body: Any = None) -> Any:
        data = urlencode(form).encode() if form else json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": "Bearer sk_test_simulator"}
        url = (self.stripe if path.startswith("/v1/") else self.control) + path
        request = urllib.request.Request(url, method=method, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def events(self) -> list[dict[str, Any]]:
        """Every event of the subscription's, newest first."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"&starting_after={found[-1]['id']}" if found else ""
            page = self.ask(f"/v1/events?type=customer.subscription.updated&limit=100{after}")
            found += page["data"]
            if not page["has_more"]:
                return found


class Stream(threading.Thread):
    """Makes or changes an object over and over: each time is an event."""

    def __init__(self, simulator: Simulator, path: str) -> None:
        super().__init__(daemon=True)
        self.simulator, self.path = simulator, path
        self.ended = threading.Event()
        self.sent = 0

    def run(self) -> None:
        while not self.ended.is_set():
            self.simulator.ask(self.path, method="POST", form={"metadata[n]": str(self.sent)})
            self.sent += 1
            time.sleep(PAUSE_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join(30)


@pytest.fixture(scope="module")
def simulator(shop: Shop, operator: Operator) -> Iterator[Simulator]:
    """The stand-in of an environment that serves, whose endpoint the operator has made."""
    assert operator.process is not None
    made = Simulator(shop)
    manifest = shop.manifest()
    manifest["spec"]["api"]["config"]["PAYMENTS_RECONCILE_SECONDS"] = "86400"
    url = f"http://{shop.name}-api.{shop.namespace.name}.svc/api/v1/webhooks/stripe"
    webhook = {"provider": "Managed", "url": url, "rotation": TIMES}
    manifest["spec"]["stripe"] |= {"apiBase": made.stripe, "webhook": webhook}
    shop.put(manifest)
    shop.ready(seconds=600)
    yield made
    made.ask("/faults", method="DELETE")


def current(shop: Shop, *, version: int) -> dict[str, Any]:
    """Wait until a rotation is complete, and return what the status says of it."""

    def complete(status: dict[str, Any]) -> Any:
        found = (status.get("rotation") or {}).get("webhook") or {}
        return found if found.get("version", 0) >= version and found["state"] == "Current" else None

    found: dict[str, Any] = shop.until(complete, seconds=240, what=f"rotated to version {version}")
    return found


def outcomes(shop: Shop) -> dict[str, float]:
    """Webhooks that the pods have received, by what became of them."""
    found: dict[str, float] = {}
    for pod in shop.pods():
        url = f"http://{pod['status']['podIP']}:9090/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        for family in families:
            for sample in family.samples:
                if sample.name == "payments_webhooks_received_total":
                    (kind,) = sample.labels.values()
                    found[kind] = found.get(kind, 0) + sample.value
    return found


def test_rotations_under_a_stream_of_events_lose_none(
    shop: Shop, simulator: Simulator, *, whole: bool, say: Callable[[str], None]
) -> None:
    first = current(shop, version=1)
    body = {"lookup_key": "pro_monthly", "email": "ada@example.com", "payment_method_id": "pm_card_visa"}
    code, answer = shop.create_subscription(shop.api_key(), body)
    assert code in {200, 201}, answer
    (subscription,) = simulator.ask("/v1/subscriptions")["data"]
    before, pods = {event["id"] for event in simulator.events()}, pods_of(shop)
    took, last = [], first["version"]
    with Stream(simulator, f"/v1/subscriptions/{subscription['id']}") as stream:
        for turn in range(10 if whole else 2):
            started = time.monotonic()
            late = {"kind": "delay", "seconds": 2.0 + turn % 3, "count": 20, "type": "customer.subscription.updated"}
            simulator.ask("/faults", method="DELETE")
            simulator.ask("/faults/webhooks", method="POST", body=late)
            twice = {"kind": "duplicate", "count": 100_000, "type": "customer.subscription.updated"}
            simulator.ask("/faults/webhooks", method="POST", body=twice)
            shop.annotate("rotate", "webhook")
            last = current(shop, version=last + 1)["version"]
            took.append(time.monotonic() - started)
    sent = {event["id"] for event in simulator.events()} - before
    assert len(sent) >= stream.sent > 0
    assert shop.namespace.until(lambda: sent <= stored(shop), seconds=60), f"lost: {sent - stored(shop)}"
    received = outcomes(shop)
    say(f"{len(took)} rotations under {stream.sent} changes, {max(took):.0f} s the longest; received {received}")
    assert not {kind: count for kind, count in received.items() if kind.startswith("invalid") and count}
    assert received["accepted"] > len(sent)  # some came twice
    assert shop.psql("SELECT count(*) FROM events WHERE source <> 'webhook'") == "0"
    repeated = "SELECT count(*) FROM (SELECT 1 FROM outbox GROUP BY cause, object_id HAVING count(*) > 1) AS twice"
    assert shop.psql(repeated) == "0"
    assert pods_of(shop) == pods
    only_one_is_left(shop, simulator, former=first["endpoint"])


def stored(shop: Shop) -> set[str]:
    """Ids of the events that have a row and wait for nothing."""
    return set(shop.psql("SELECT id FROM events WHERE state IN ('applied', 'ignored')").split())


def only_one_is_left(shop: Shop, simulator: Simulator, *, former: str) -> None:
    endpoints = simulator.ask("/v1/webhook_endpoints")["data"]
    found = [(item["id"], item["status"]) for item in endpoints]
    assert found == [(shop.status()["rotation"]["webhook"]["endpoint"], "enabled")]
    assert found[0][0] != former
    secret = next(item for item in shop.objects("secret") if item["metadata"]["name"].endswith("-webhook-secrets"))
    template = "{.data.STRIPE_WEBHOOK_SECRET}"
    encoded = shop.namespace.kubectl("get", "secret", secret["metadata"]["name"], "-o", f"jsonpath={template}")
    assert len(json.dumps(encoded)) < 80, "more than one secret is left"


def test_a_rotation_that_stripe_refuses_changes_nothing(shop: Shop, simulator: Simulator) -> None:
    before = current(shop, version=1)
    others = []
    while len(simulator.ask("/v1/webhook_endpoints?limit=100")["data"]) < 16:
        form = {"url": "https://other.example/hook", "enabled_events[]": "invoice.paid"}
        others.append(simulator.ask("/v1/webhook_endpoints", method="POST", form=form)["id"])
    try:
        shop.annotate("rotate", "webhook")
        failed = shop.until(
            lambda status: (found := status["rotation"]["webhook"])["state"] == "Failed" and found, what="refused"
        )
        assert "16" in failed["message"]
        assert failed["endpoint"] == before["endpoint"]
    finally:
        for endpoint in others:
            simulator.ask(f"/v1/webhook_endpoints/{endpoint}", method="DELETE")
    with Stream(simulator, "/v1/customers"):
        shop.annotate("rotate", "webhook")
        assert current(shop, version=failed["version"] + 1)["endpoint"] != before["endpoint"]
