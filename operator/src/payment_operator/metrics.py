"""The operator's own metrics."""

from typing import Final

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
for _outcome in ("released", "rolled_back", "failed", "superseded"):
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
WEBHOOK_ROTATED: Final = Gauge(
    "payment_operator_webhook_rotated_timestamp_seconds",
    "When the webhook signing secret in use began",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
WEBHOOK_DUE: Final = Gauge(
    "payment_operator_webhook_due_timestamp_seconds",
    "When it is to be rotated",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
WEBHOOK_FAILED: Final = Gauge(
    "payment_operator_webhook_rotation_failed",
    "1 after a rotation that failed, until the next one begins",
    ["exported_namespace", "exported_environment"],
    registry=REGISTRY,
)
WEBHOOK: Final = (WEBHOOK_ROTATED, WEBHOOK_DUE, WEBHOOK_FAILED)
