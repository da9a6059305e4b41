"""Samples with one wrong field, and what ``lint`` says about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SAMPLES = Path(__file__).parents[4] / "k8s/samples"
LONG = "a" * 41
QUERY = {"name": "queue-age", "url": "http://prometheus:9090", "query": "vector(1)"}

WRONG: list[tuple[str, str, Any, str]] = [
    ("minimal.yaml", "metadata.name", LONG, "use 40 characters or fewer"),
    ("minimal.yaml", "spec.image", "app:latest", "name a tag other than latest"),
    ("minimal.yaml", "spec.image", "registry:5000/app", "name a tag other than latest"),
    ("minimal.yaml", "spec.image", "", "spec.image: must not be empty"),
    ("minimal.yaml", "spec.autoscaling", {"minReplicas": 11}, "lower it or raise maxReplicas"),
    (
        "minimal.yaml",
        "spec.worker.autoscaling",
        {"minReplicas": 11},
        "spec.worker.autoscaling: autoscaling.minReplicas",
    ),
    ("minimal.yaml", "spec.release.retainSeconds", 1, "raise it, or lower drainSeconds"),
    (
        "minimal.yaml",
        "spec.release.bake",
        {"prometheus": [QUERY]},
        "bake.prometheus[0]: spec.release.bake.prometheus needs",
    ),
    ("minimal.yaml", "spec.release.bake", {"prometheus": [QUERY | {"max": "1"}] * 2}, "two measures of one name"),
    ("minimal.yaml", "spec.release.bake", {"webhooks": [{"name": "p99", "url": "http://g"}]}, "a built-in measure"),
    ("minimal.yaml", "spec.release.promotion", "Never", "use Auto or Manual"),
    ("minimal.yaml", "spec.replicas", "3", "spec.replicas: must be an integer"),
    ("minimal.yaml", "spec.replicas", -1, "use 0 or more"),
    ("minimal.yaml", "spec.replicas", 1001, "use 1000 or less"),
    ("minimal.yaml", "spec.replicas", True, "must be an integer"),
    ("minimal.yaml", "spec.suspend", "yes", "must be a boolean"),
    ("minimal.yaml", "spec.promotion", "Manual", "spec.promotion: unknown field"),
    ("minimal.yaml", "spec.database", {}, "spec.database.urlSecretRef: is missing"),
    ("minimal.yaml", "spec.database.ca", {}, "needs configMap or secret, and not both"),
    ("minimal.yaml", "spec.database.ca", {"configMap": "a", "secret": "b"}, "needs configMap or secret, and not both"),
    ("minimal.yaml", "spec.webhookEndpoints", {"allowedNetworks": ["10.0.0.0/8"]}, "signingKeySecretRef is missing"),
    ("minimal.yaml", "spec.webhookEndpoints", {"allowHttp": True}, "signingKeySecretRef is missing"),
    ("minimal.yaml", "spec.allowedOrigins", ["https://a.example"] * 101, "100 are allowed"),
    ("minimal.yaml", "spec.api.config", {"LOG_LEVEL": 7}, "spec.api.config[LOG_LEVEL]: must be a string"),
    ("production.yaml", "spec.image", "app:1", "write image@sha256:..."),
    ("production.yaml", "spec.image", "app@sha256:12", "write image@sha256:..."),
    ("production.yaml", "spec.release.bake.seconds", 59, "use 60 or more"),
    ("production.yaml", "spec.release.retainSeconds", 299, "use 300 or more"),
    ("production.yaml", "spec.release.drainSeconds", 4, "use 5 or more"),
    ("production.yaml", "spec.stripe.apiBase", "http://simulator:12111", "remove it in Live mode"),
    ("production.yaml", "spec.stripe.webhook.url", "http://pay.example.com", "must start with https://"),
    ("minimal.yaml", "spec.stripe.webhook", {}, "name a Secret, or set provider: Managed"),
    ("minimal.yaml", "spec.stripe.webhook", {"provider": "Managed"}, "spec.stripe.webhook.url is missing"),
    ("minimal.yaml", "spec.stripe.webhook.rotation", {"maxOverlapSeconds": 1}, "raise it, or lower overlapSeconds"),
    ("production.yaml", "spec.stripe.webhook.rotation", {"intervalSeconds": 3600}, "use 86400 or more"),
    ("production.yaml", "spec.stripe.webhook.rotation", {"overlapSeconds": 60}, "use 600 or more"),
]


def changed(sample: str, path: str, value: Any) -> dict[str, Any]:
    """The sample with the field at ``path`` set to ``value``."""
    resource: dict[str, Any] = next(yaml.safe_load_all((SAMPLES / sample).read_text()))
    *parents, last = path.split(".")
    place = resource
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return resource
