"""Sets the metrics of what the conditions of an environment say."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from prometheus_client import Gauge

from payment_operator.api.status import Condition
from payment_operator.metrics import (
    BAKE_INCONCLUSIVE,
    BY_ENVIRONMENT,
    COMMANDS_UNTAKEN,
    FAILING,
    TRAFFIC_OVERRIDDEN,
    WORKERS_IDLE,
)

Where = tuple[str, str]
"""Namespace and name of an environment."""
GAUGES: Final[dict[tuple[str, str], Gauge]] = {
    ("TrafficOverridden", "TrafficOverridden"): TRAFFIC_OVERRIDDEN,
    ("Baking", "Inconclusive"): BAKE_INCONCLUSIVE,
    ("Failing", ""): FAILING,
    ("WorkersClaiming", "NoReadyWorkers"): WORKERS_IDLE,
    ("WorkersClaiming", "NoWorkerClaims"): WORKERS_IDLE,
    ("CommandsTaken", "AdminPortUnreachable"): COMMANDS_UNTAKEN,
}
"""By type and reason of a condition that is not as it should be; without a reason, by any."""
WELL: Final = frozenset({"WorkersClaiming", "CommandsTaken"})
"""Conditions that are well while they are true; the others are while they are not."""


def measure_death(where: Where) -> None:
    """Count an environment as failing whose pass did not come to its conditions."""
    FAILING.labels(*where).set(1)


def failing_environments() -> list[str]:
    """Those that fail now, as namespace/name."""
    samples = [sample for metric in FAILING.collect() for sample in metric.samples if sample.value]
    return sorted("/".join(sample.labels[name] for name in BY_ENVIRONMENT) for sample in samples)


def measure_conditions(where: Where, conditions: Sequence[Condition] | None) -> None:
    """Set the metrics of one environment; None when it is gone."""
    found = {
        (entry.type, reason)
        for entry in conditions or ()
        if entry.status == ("False" if entry.type in WELL else "True")
        for reason in (entry.reason, "")
    }
    for gauge in set(GAUGES.values()):
        if conditions is not None:
            gauge.labels(*where).set(any(kind in found for kind, of in GAUGES.items() if of is gauge))
            continue
        with suppress(KeyError):
            gauge.remove(*where)
