"""Sets the metrics of what the conditions of an environment say."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from prometheus_client import Gauge

from payment_operator.api.status import Condition
from payment_operator.metrics import BAKE_INCONCLUSIVE, FAILING, TRAFFIC_OVERRIDDEN

Where = tuple[str, str]
"""Namespace and name of an environment."""
GAUGES: Final[dict[tuple[str, str], Gauge]] = {
    ("TrafficOverridden", "TrafficOverridden"): TRAFFIC_OVERRIDDEN,
    ("Baking", "Inconclusive"): BAKE_INCONCLUSIVE,
    ("Failing", ""): FAILING,
}
"""By type and reason of a condition that is true; without a reason, by any."""
FAILING_LABELS: Final = ("exported_namespace", "exported_environment")


def measure_death(where: Where) -> None:
    """Count an environment as failing whose pass did not come to its conditions."""
    FAILING.labels(*where).set(1)


def failing_environments() -> list[str]:
    """Those that fail now, as namespace/name."""
    samples = [sample for metric in FAILING.collect() for sample in metric.samples if sample.value]
    return sorted("/".join(sample.labels[name] for name in FAILING_LABELS) for sample in samples)


def measure_conditions(where: Where, conditions: Sequence[Condition] | None) -> None:
    """Set the metrics of one environment; None when it is gone."""
    held = [entry for entry in conditions or () if entry.status == "True"]
    found = {(entry.type, reason) for entry in held for reason in (entry.reason, "")}
    for kind, gauge in GAUGES.items():
        if conditions is not None:
            gauge.labels(*where).set(kind in found)
            continue
        with suppress(KeyError):
            gauge.remove(*where)
