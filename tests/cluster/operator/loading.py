"""Constant load on an environment: signed events, of which none may be lost, over kept and on new connections.

They come from this machine to the Service and through the Ingress, and from a pod by the Service's name.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.cluster.chart.release import EVENT, WEBHOOK
from tests.cluster.load.run import HostLoad, PodLoad
from tests.cluster.node.layout import INGRESS
from tests.cluster.operator.harness import SECRET_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.operator.harness import Shop

RATE, FRESH, CONNECTIONS = 50.0, 20.0, 8
"""Requests a second of each of the three ways."""
WAYS = 3
HOST = "pay.example.com"


@dataclass
class Results:
    """What the generators have counted, once the body has ended."""

    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(run["total"] for run in self.runs)

    @property
    def failed(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for run in self.runs:
            for kind, count in run["failed_by_kind"].items():
                found[kind] = found.get(kind, 0) + count
        return found

    def p99(self) -> str:
        """The 99th percentile of each way."""
        return " / ".join(f"{run['latency_ms']['p99']:.0f}" for run in self.runs)

    def last_kept(self, revision: str) -> float | None:
        """When a kept connection last reached a revision, as a wall clock time."""
        seen = [
            run["started"] + found["keep_alive_last_second"]
            for run in self.runs
            if (found := run["revisions"].get(revision)) and found["keep_alive_last_second"]
        ]
        return max(seen, default=None)


def arguments() -> tuple[str, ...]:
    """What each generator is told; a request may take long on a busy machine, but must be answered."""
    flags = ("--seconds", 7200, "--rate", RATE, "--fresh-rate", FRESH, "--connections", CONNECTIONS)
    secret = SECRET_VALUES["STRIPE_WEBHOOK_SECRET"]
    return (*map(str, flags), "--timeout", "30", "--body", json.dumps(EVENT), "--stripe-secret", secret)


@contextmanager
def loaded(shop: Shop, name: str, *, authority: Path, least: float = 3.0) -> Iterator[Results]:
    """Deliver events all three ways while the body runs and for `least` seconds around it."""
    results = Results()
    through = ("--address", f"{INGRESS}:443", "--ca", str(authority))
    pod = from_a_pod(shop, name)
    pod.wait()
    with (
        HostLoad(shop.address() + WEBHOOK, *arguments()) as direct,
        HostLoad(f"https://{HOST}{WEBHOOK}", *arguments(), *through) as ingress,
    ):
        time.sleep(least)
        yield results
        time.sleep(least)
        for load in (direct, ingress, pod):
            load.stop()
        results.runs += [load.result() for load in (direct, ingress, pod)]


def purchases(shop: Shop, *, rate: float, fresh: float = 0.0) -> HostLoad:
    """Create subscriptions all the time, each of a customer of its own and asked for once."""
    url = shop.address() + "/api/v1/payments/create-subscription"
    body = '{"lookup_key": "pro_monthly", "email": "u{{id}}@example.com", "payment_method_id": "pm_card_visa"}'
    headers = ("--header", f"Authorization: Bearer {shop.api_key()}", "--header", "Idempotency-Key: load-{{id}}")
    flags = ("--seconds", "3600", "--rate", str(rate), "--fresh-rate", str(fresh), "--body", body, "--timeout", "60")
    return HostLoad(url, *flags, *headers)


def from_a_pod(shop: Shop, name: str) -> PodLoad:
    """Deliver events from a pod through the Service's name."""
    kubectl, image = shop.namespace.cluster.kubectl, shop.namespace.images["service"]
    url = f"http://{shop.name}-api{WEBHOOK}"
    return PodLoad(kubectl, name, url, *arguments(), namespace=shop.namespace.name, image=image)


def stored(shop: Shop) -> int:
    """How many events of the load have a row."""
    query = "SELECT count(*) FROM events WHERE type = 'load.sent'"
    return int(shop.psql(query))
