"""Stripe's stand-in in the namespace, and an environment whose webhook endpoint the operator manages there."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from tests.cluster.operator.harness import Shop

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


def managed(shop: Shop, *, rotation: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The environment with an endpoint of the operator's; its workers do not fetch events, so a lost one stays lost."""
    manifest = shop.manifest(**spec)
    manifest["spec"]["api"]["config"]["PAYMENTS_RECONCILE_SECONDS"] = "86400"
    url = f"http://{shop.name}-api.{shop.namespace.name}.svc/api/v1/webhooks/stripe"
    webhook = {"provider": "Managed", "url": url, "rotation": rotation}
    manifest["spec"]["stripe"] |= {"apiBase": shop.address("simulator"), "webhook": webhook}
    return manifest


def current(shop: Shop, *, version: int) -> dict[str, Any]:
    """Wait until a rotation is complete, and return what the status says of it."""

    def complete(status: dict[str, Any]) -> Any:
        found = (status.get("rotation") or {}).get("webhook") or {}
        return found if found.get("version", 0) >= version and found["state"] == "Current" else None

    found: dict[str, Any] = shop.until(complete, seconds=240, what=f"rotated to version {version}")
    return found


def only_one_is_left(shop: Shop, simulator: Simulator, *, former: str) -> None:
    endpoints = simulator.ask("/v1/webhook_endpoints")["data"]
    found = [(item["id"], item["status"]) for item in endpoints]
    assert found == [(shop.status()["rotation"]["webhook"]["endpoint"], "enabled")]
    assert found[0][0] != former
    secret = next(item for item in shop.objects("secret") if item["metadata"]["name"].endswith("-webhook-secrets"))
    template = "{.data.STRIPE_WEBHOOK_SECRET}"
    encoded = shop.namespace.kubectl("get", "secret", secret["metadata"]["name"], "-o", f"jsonpath={template}")
    assert len(json.dumps(encoded)) < 80, "more than one secret is left"
