"""The operator's own metrics."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call] # the library types all but this
REGISTRY: Final = CollectorRegistry()
API_REQUESTS: Final = Counter(
    "payment_operator_api_requests", "Requests to the API server", ["method", "kind", "status"], registry=REGISTRY
)
RECONCILES: Final = Counter("payment_operator_reconciles", "Passes by result", ["result"], registry=REGISTRY)
RECONCILE_SECONDS: Final = Histogram("payment_operator_reconcile_duration_seconds", "One pass", registry=REGISTRY)
QUEUE_DEPTH: Final = Gauge("payment_operator_queue_depth", "Environments that wait for a pass", registry=REGISTRY)
RELEASES: Final = Counter(
    "payment_operator_releases", "Releases that ended, by outcome", ["outcome"], registry=REGISTRY
)
for _outcome in ("released", "unproven", "rolled_back", "failed", "superseded"):
    RELEASES.labels(_outcome)  # from zero on: the first failure must be an increase, or no alert sees it
STEP_SECONDS: Final = Histogram(
    "payment_operator_release_step_duration_seconds",
    "Steps of releases",
    ["step"],
    buckets=(1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600),
    registry=REGISTRY,
)
ENVIRONMENTS: Final = Gauge("payment_operator_environments", "Environments that are looked after", registry=REGISTRY)
LEADER: Final = Gauge("payment_operator_leader", "1 while this process holds the Lease", registry=REGISTRY)

BY_ENVIRONMENT: Final = ("exported_namespace", "exported_environment")


def _of_environment(name: str, text: str) -> Gauge:
    return Gauge(f"payment_operator_{name}", text, BY_ENVIRONMENT, registry=REGISTRY)


TRAFFIC_OVERRIDDEN: Final = _of_environment(
    "traffic_overridden", "1 while the Service's selector is not what the operator's commit record says"
)
FAILING: Final = _of_environment(
    "environment_failing", "1 while writes for an environment are refused, or a part of its passes fails"
)
WORKERS_IDLE: Final = _of_environment("workers_idle", "1 while no worker of an environment applies events")
COMMANDS_UNTAKEN: Final = _of_environment(
    "commands_untaken", "1 while the operator cannot reach port 9090 of an environment's pods"
)
BAKE_INCONCLUSIVE: Final = _of_environment(
    "bake_inconclusive", "1 while a bake that is long enough goes on because it has proven nothing"
)


class Rotation(NamedTuple):
    """What is measured of one kind of secret, by environment."""

    rotated: Gauge
    due: Gauge
    failed: Gauge


def _rotation(name: str, *, what: str, failed: tuple[str, str]) -> Rotation:
    return Rotation(
        _of_environment(f"{name}_rotated_timestamp_seconds", f"When the {what} in use began"),
        _of_environment(f"{name}_due_timestamp_seconds", f"When the {what} is to be replaced"),
        _of_environment(f"{name}_{failed[0]}", failed[1]),
    )


WEBHOOK: Final = _rotation(
    "webhook",
    what="webhook signing secret",
    failed=("rotation_failed", "1 after a rotation that failed, until the next one begins"),
)
API_KEY: Final = _rotation(
    "api_key", what="Stripe API key", failed=("refused", "1 while a new key is refused; the one in use goes on")
)
DATABASE: Final = _rotation(
    "database",
    what="database password",
    failed=("rotation_failed", "1 while a rotation cannot go on"),
)
SECRET_KEY_FAILED: Final = _of_environment(
    "secret_key_failed", "1 while API keys are refused for want of a value of SECRET_KEY, or there are too many values"
)
SECRET_KEY_STILL_NEEDED: Final = _of_environment(
    "secret_key_still_needed", "1 while a value of SECRET_KEY that API keys need is gone from its Secret"
)


def count_release(durations: Iterable[tuple[str, float]], outcomes: Iterable[str]) -> None:
    """Count steps that ended, with their seconds, and releases that did."""
    for step, seconds in durations:
        STEP_SECONDS.labels(step).observe(seconds)
    for outcome in outcomes:
        RELEASES.labels(outcome).inc()
