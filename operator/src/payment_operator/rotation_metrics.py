"""Sets the metrics of the secrets that are rotated, from the status."""

from contextlib import suppress
from typing import Final

from prometheus_client import Gauge

from payment_operator.api.rotation import ApiKeyStatus, DatabasePasswordStatus, RotationStatus, WebhookSecretStatus
from payment_operator.metrics import API_KEY, DATABASE, WEBHOOK, Rotation
from payment_operator.record import moment

Where = tuple[str, str]
"""Namespace and name of an environment."""
_FAILED: Final = frozenset({"Failed", "Refused"})


def measure(where: Where, rotation: RotationStatus | None) -> None:
    """Set the metrics of one environment; what is not known of it has none."""
    found = rotation or RotationStatus()
    _measure(where, WEBHOOK, found.webhook)
    _measure(where, API_KEY, found.api_key)
    _measure(where, DATABASE, found.database)


def _measure(
    where: Where, gauges: Rotation, status: WebhookSecretStatus | ApiKeyStatus | DatabasePasswordStatus | None
) -> None:
    _at(where, gauges.rotated, status.rotated_at if status else None)
    _at(where, gauges.due, status.next_rotation if status else None)
    if status is None:
        _remove(where, gauges.failed)
    else:
        gauges.failed.labels(*where).set(status.state in _FAILED)


def _at(where: Where, gauge: Gauge, at: str | None) -> None:
    if at:
        gauge.labels(*where).set(moment(at).timestamp())
    else:
        _remove(where, gauge)


def _remove(where: Where, gauge: Gauge) -> None:
    with suppress(KeyError):
        gauge.remove(*where)
