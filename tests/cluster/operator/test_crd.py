"""The CRD against a real API server: samples are taken, and what is wrong is refused with the fix."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cluster.api_server import ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "k8s/samples"
QUERY = {"name": "gate", "url": "http://prometheus:9090", "query": "vector(1)", "max": "30"}
UNBOUND = {name: value for name, value in QUERY.items() if name != "max"}
HOOK = {"name": "gate", "url": "http://gate/ask", "metadata": {"type": "load"}}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api"))
    try:
        server.start()
        server.install_crds()
        yield server
    finally:
        server.stop()


def dry_run(api: ApiServer, resource: dict[str, Any]) -> str:
    """What the API server says to ``resource``, without storing it."""
    done = api.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=json.dumps(resource))
    return done.stdout + done.stderr


def sample(name: str) -> dict[str, Any]:
    environment: dict[str, Any] = next(yaml.safe_load_all((SAMPLES / name).read_text(encoding="utf-8")))
    return environment


def changed(name: str, path: str, value: Any) -> dict[str, Any]:
    """The sample with the field at ``path`` set to ``value``."""
    resource = copy.deepcopy(sample(name))
    *parents, last = path.split(".")
    place = resource
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return resource


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_sample_is_taken(api: ApiServer, file: Path) -> None:
    done = api.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(file))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "path", "value", "fix"),
    [
        ("minimal.yaml", "metadata.name", "a" * 41, "use 40 characters or fewer"),
        ("minimal.yaml", "spec.image", "app:latest", "name a tag other than latest"),
        ("minimal.yaml", "spec.image", "localhost:5000/app", "name a tag other than latest"),
        ("minimal.yaml", "spec.autoscaling", {"minReplicas": 11}, "lower it or raise maxReplicas"),
        ("minimal.yaml", "spec.worker.autoscaling", {"minReplicas": 11}, "lower it or raise maxReplicas"),
        ("minimal.yaml", "spec.release.retainSeconds", 1, "raise it, or lower drainSeconds"),
        ("minimal.yaml", "spec.release.bake", {"prometheus": [UNBOUND]}, "needs min, max or both"),
        ("minimal.yaml", "spec.release.bake", {"prometheus": [QUERY | {"max": "1e3"}]}, "should match"),
        ("minimal.yaml", "spec.release.bake", {"prometheus": [QUERY | {"url": "file:///etc"}]}, "should match"),
        ("minimal.yaml", "spec.release.bake", {"prometheus": [QUERY], "webhooks": [HOOK]}, "two measures of one name"),
        ("minimal.yaml", "spec.release.bake", {"webhooks": [HOOK | {"name": "restarts"}]}, "a built-in measure"),
        ("minimal.yaml", "spec.release.promotion", "Never", 'supported values: "Auto", "Manual"'),
        ("production.yaml", "spec.image", "app:1", "write image@sha256:..."),
        ("production.yaml", "spec.release.bake.seconds", 59, "use 60 or more"),
        ("production.yaml", "spec.release.retainSeconds", 299, "use 300 or more"),
        ("production.yaml", "spec.release.drainSeconds", 4, "use 5 or more"),
        ("production.yaml", "spec.stripe.apiBase", "http://simulator:12111", "remove it in Live mode"),
        ("production.yaml", "spec.stripe.webhook.url", "http://pay.example.com", "must start with https://"),
    ],
)
def test_a_wrong_field_is_refused_with_its_fix(api: ApiServer, name: str, path: str, value: Any, fix: str) -> None:
    assert fix in dry_run(api, changed(name, path, value))


def test_measures_by_query_and_webhook_are_taken(api: ApiServer) -> None:
    bake = {"prometheus": [QUERY, QUERY | {"name": "b", "min": "0.5"}], "webhooks": [HOOK | {"name": "c"}]}
    release = {"bake": bake, "probeKeySecretRef": {"name": "probe"}}
    assert "serverside-applied" in dry_run(api, changed("minimal.yaml", "spec.release", release))


def test_times_may_be_seconds_in_test_mode(api: ApiServer) -> None:
    resource = changed("minimal.yaml", "spec.release", {"bake": {"seconds": 1}, "drainSeconds": 1, "retainSeconds": 1})
    assert "serverside-applied" in dry_run(api, resource)


def test_the_stripe_mode_cannot_be_changed(api: ApiServer) -> None:
    stored = json.dumps(changed("minimal.yaml", "metadata.name", "fixed-mode"))
    done = api.kubectl("apply", "--server-side", "-f", "-", stdin=stored)
    assert done.returncode == 0, done.stderr
    assert "spec.stripe.mode cannot be changed" in dry_run(
        api, changed("production.yaml", "metadata.name", "fixed-mode")
    )


def test_replicas_are_written_through_the_scale_subresource(api: ApiServer) -> None:
    api.kubectl(
        "apply", "--server-side", "-f", "-", stdin=json.dumps(changed("minimal.yaml", "metadata.name", "scaled"))
    )
    scaled = api.kubectl("scale", "penv/scaled", "--replicas=6")
    assert scaled.returncode == 0, scaled.stderr
    assert api.kubectl("get", "penv", "scaled", "-o=jsonpath={.spec.replicas}").stdout == "6"
