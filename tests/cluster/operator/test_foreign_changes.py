"""Hands of other people on real pods: the selector moved, the commit record lost; nobody is left without endpoints."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from payment_operator import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.operator.harness import Operator, Shop

pytestmark = pytest.mark.timeout(1800)
RETAINED: dict[str, Any] = {"retainSeconds": 20, "onOverride": "Hold"}


@pytest.fixture(scope="module")
def switched(shop: Shop, operator: Operator) -> Iterator[Shop]:
    """An environment in the retention after its second release; a person holds the operator's hand."""
    assert operator.process is not None
    shop.apply(release=RETAINED)
    shop.ready(revision=1, seconds=600)
    shop.apply(release=RETAINED, allowedOrigins=["https://second.example.com"])
    shop.until(lambda status: (status.get("active") or {}).get("revision") == 2, seconds=600, what="switched")
    yield shop
    shop.apply(release=RETAINED | {"onOverride": "Restore"}, allowedOrigins=["https://second.example.com"])
    shop.ready(revision=2)


def patch(shop: Shop, body: dict[str, Any]) -> None:
    shop.namespace.kubectl("patch", "service", f"{shop.name}-api", "--type=merge", f"--patch={json.dumps(body)}")


def endpoints(shop: Shop) -> int:
    label = f"kubernetes.io/service-name={shop.name}-api"
    slices = json.loads(shop.namespace.kubectl("get", "endpointslices", "-l", label, "-o", "json"))["items"]
    found = [entry for item in slices for entry in item.get("endpoints") or []]
    return len([entry for entry in found if entry["conditions"].get("ready")])


def test_the_selector_moved_by_hand_in_the_retention_keeps_both_colours(switched: Shop) -> None:
    blue = switched.status()["previous"]["hash"]
    patch(switched, {"spec": {"selector": {names.LABEL_REVISION: blue}}})
    switched.until(lambda _: switched.condition("TrafficOverridden").get("status") == "True", what="seen")
    said = switched.condition("TrafficOverridden")["message"]
    assert all(word in said for word in ("revision 1", "revision 2", "kubectl-patch"))
    deadline = time.monotonic() + 60  # three times the retention
    while time.monotonic() < deadline:
        assert endpoints(switched) > 0
        assert switched.condition("Ready")["status"] == "False"
        time.sleep(2)
    assert len({pod["metadata"]["labels"][names.LABEL_REVISION] for pod in switched.pods()}) == 2
    assert switched.status()["active"]["revision"] == 1


def test_a_commit_record_taken_away_is_made_again(switched: Shop) -> None:
    switched.apply(release=RETAINED | {"onOverride": "Restore"}, allowedOrigins=["https://second.example.com"])
    switched.ready(revision=2)
    patch(switched, {"metadata": {"annotations": {names.ANNOTATION_CUTOVER: None}}})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        service = json.loads(switched.namespace.kubectl("get", "service", f"{switched.name}-api", "-o", "json"))
        if names.ANNOTATION_CUTOVER in (service["metadata"].get("annotations") or {}):
            break
        time.sleep(1)
    else:
        raise AssertionError(service)
    assert switched.ready(revision=2)["active"]["revision"] == 2
    assert endpoints(switched) > 0
