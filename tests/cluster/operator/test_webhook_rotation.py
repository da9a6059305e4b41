"""The webhook signing secret is rotated under a stream of events: none is rejected, lost or applied twice."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.cluster.operator.canary import found_outside_secrets, secret_words
from tests.cluster.operator.stand_in import Simulator, Stream, current, managed, only_one_is_left
from tests.cluster.operator.test_environment import pods_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.operator.harness import Operator, Shop

pytestmark = pytest.mark.timeout(1800)
TIMES = {"intervalSeconds": 86400, "overlapSeconds": 3, "maxOverlapSeconds": 120}


@pytest.fixture(scope="module")
def simulator(shop: Shop, operator: Operator) -> Iterator[Simulator]:
    """The stand-in of an environment that serves, whose endpoint the operator has made."""
    assert operator.process is not None
    made = Simulator(shop)
    shop.put(managed(shop, rotation=TIMES))
    shop.ready(seconds=600)
    yield made
    made.ask("/faults", method="DELETE")


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
    shop: Shop, simulator: Simulator, operator: Operator, *, whole: bool, say: Callable[[str], None]
) -> None:
    first = current(shop, version=1)
    body = {"lookup_key": "pro_monthly", "email": "ada@example.com", "payment_method_id": "pm_card_visa"}
    code, answer = shop.create_subscription(shop.api_key(), body)
    assert code in {200, 201}, answer
    (subscription,) = simulator.ask("/v1/subscriptions")["data"]
    before, pods = {event["id"] for event in simulator.events()}, pods_of(shop)
    took, last, words = [], first["version"], secret_words(shop)
    with Stream(simulator, f"/v1/subscriptions/{subscription['id']}") as stream:
        for turn in range(10 if whole else 2):
            started = time.monotonic()
            late = {"kind": "delay", "seconds": 2.0 + turn % 3, "count": 20, "type": "customer.subscription.updated"}
            simulator.ask("/faults", method="DELETE")
            simulator.ask("/faults/webhooks", method="POST", body=late)
            twice = {"kind": "duplicate", "count": 100_000, "type": "customer.subscription.updated"}
            simulator.ask("/faults/webhooks", method="POST", body=twice)
            shop.ask("rotate", secret="webhook")
            last = current(shop, version=last + 1)["version"]
            took.append(time.monotonic() - started)
            words |= secret_words(shop)
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
    assert not found_outside_secrets(shop, operator, words)


def stored(shop: Shop) -> set[str]:
    """Ids of the events that have a row and wait for nothing."""
    return set(shop.psql("SELECT id FROM events WHERE state IN ('applied', 'ignored')").split())


def test_a_rotation_that_stripe_refuses_changes_nothing(shop: Shop, simulator: Simulator) -> None:
    before = current(shop, version=1)
    others = []
    while len(simulator.ask("/v1/webhook_endpoints?limit=100")["data"]) < 16:
        form = {"url": "https://other.example/hook", "enabled_events[]": "invoice.paid"}
        others.append(simulator.ask("/v1/webhook_endpoints", method="POST", form=form)["id"])
    try:
        shop.ask("rotate", secret="webhook")
        failed = shop.until(
            lambda status: (found := status["rotation"]["webhook"])["state"] == "Failed" and found, what="refused"
        )
        assert "16" in failed["message"]
        assert failed["endpoint"] == before["endpoint"]
    finally:
        for endpoint in others:
            simulator.ask(f"/v1/webhook_endpoints/{endpoint}", method="DELETE")
    with Stream(simulator, "/v1/customers"):
        shop.ask("rotate", secret="webhook")
        assert current(shop, version=failed["version"] + 1)["endpoint"] != before["endpoint"]
