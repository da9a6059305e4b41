"""Sets the metrics of the secrets that are rotated, from the status."""

from contextlib import suppress
from typing import Final

from prometheus_client import Gauge

from payment_operator.api.rotation import (
    ApiKeyStatus,
    DatabasePasswordStatus,
    RotationStatus,
    SecretKeyStatus,
    WebhookSecretStatus,
)
from payment_operator.metrics import API_KEY, DATABASE, SECRET_KEY_FAILED, SECRET_KEY_STILL_NEEDED, WEBHOOK, Rotation
from payment_operator.resources.release_record import moment

Where = tuple[str, str]
"""Namespace and name of an environment."""
_FAILED: Final = frozenset({"Failed", "Refused"})


def measure(where: Where, rotation: RotationStatus | None) -> None:
    """Set the metrics of one environment; what is not known of it has none."""
    found = rotation or RotationStatus()
    _measure(where, WEBHOOK, found.webhook)
    _measure(where, API_KEY, found.api_key)
    _measure(where, DATABASE, found.database)
    _measure_secret_key(where, found.secret_key)


def _measure(
    where: Where, gauges: Rotation, status: WebhookSecretStatus | ApiKeyStatus | DatabasePasswordStatus | None
) -> None:
    _at(where, gauges.rotated, status.rotated_at if status else None)
    _at(where, gauges.due, status.next_rotation if status else None)
    if status is None:
        _remove(where, gauges.failed)
    else:
        gauges.failed.labels(*where).set(status.state in _FAILED)


def _measure_secret_key(where: Where, status: SecretKeyStatus | None) -> None:
    for gauge, state in ((SECRET_KEY_FAILED, "Failed"), (SECRET_KEY_STILL_NEEDED, "Retaining")):
        if status is None:
            _remove(where, gauge)
        else:
            gauge.labels(*where).set(status.state == state)


def _at(where: Where, gauge: Gauge, at: str | None) -> None:
    if at:
        gauge.labels(*where).set(moment(at).timestamp())
    else:
        _remove(where, gauge)


def _remove(where: Where, gauge: Gauge) -> None:
    with suppress(KeyError):
        gauge.remove(*where)
