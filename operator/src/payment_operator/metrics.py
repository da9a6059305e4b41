"""The operator's own metrics."""

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

TRAFFIC_OVERRIDDEN: Final = Gauge(
    "payment_operator_traffic_overridden",
    "1 while the Service's selector is not what the operator's commit record says",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
FAILING: Final = Gauge(
    "payment_operator_environment_failing",
    "1 while writes for an environment are refused, or a part of its passes fails",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
WORKERS_IDLE: Final = Gauge(
    "payment_operator_workers_idle",
    "1 while no worker of an environment applies events",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
COMMANDS_UNTAKEN: Final = Gauge(
    "payment_operator_commands_untaken",
    "1 while the operator cannot reach port 9090 of an environment's pods",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
BAKE_INCONCLUSIVE: Final = Gauge(
    "payment_operator_bake_inconclusive",
    "1 while a bake that is long enough goes on because it has proven nothing",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)


class Rotation(NamedTuple):
    """What is measured of one kind of secret, by environment."""

    rotated: Gauge
    due: Gauge
    failed: Gauge


def _rotation(name: str, *, what: str, failed: tuple[str, str]) -> Rotation:
    labels, suffix = ["exported_namespace", "exported_environment"], "timestamp_seconds"
    return Rotation(
        Gauge(f"payment_operator_{name}_rotated_{suffix}", f"When the {what} in use began", labels, registry=REGISTRY),
        Gauge(f"payment_operator_{name}_due_{suffix}", f"When the {what} is to be replaced", labels, registry=REGISTRY),
        Gauge(f"payment_operator_{name}_{failed[0]}", failed[1], labels, registry=REGISTRY),
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
SECRET_KEY_FAILED: Final = Gauge(
    "payment_operator_secret_key_failed",
    "1 while API keys are refused for want of a value of SECRET_KEY, or there are too many values",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
SECRET_KEY_STILL_NEEDED: Final = Gauge(
    "payment_operator_secret_key_still_needed",
    "1 while a value of SECRET_KEY that API keys need is gone from its Secret",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
