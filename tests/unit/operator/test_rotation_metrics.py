"""Age, due time and failures of each rotated secret are measured by environment, and end with it."""

from __future__ import annotations

import pytest

from payment_operator.api.rotation import (
    ApiKeyStatus,
    DatabasePasswordStatus,
    PendingKey,
    RotationStatus,
    SecretKeyStatus,
    WebhookSecretStatus,
)
from payment_operator.metrics import REGISTRY
from payment_operator.runtime.rotation_metrics import measure

BEGAN, DUE = "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"
SINCE, UNTIL = 1793491200.0, 1796083200.0
SHOP = ("billing", "shop")


def value(name: str, where: tuple[str, str] = SHOP) -> float | None:
    labels = dict(zip(("exported_namespace", "exported_environment"), where, strict=True))
    return REGISTRY.get_sample_value(f"payment_operator_{name}", labels)


@pytest.mark.parametrize("kind", ["webhook", "api_key", "database"])
def test_each_secret_has_its_age_and_its_due_time(kind: str) -> None:
    rotation = RotationStatus(
        webhook=WebhookSecretStatus(state="Current", rotated_at=BEGAN, next_rotation=DUE),
        api_key=ApiKeyStatus(state="Current", rotated_at=BEGAN, next_rotation=DUE),
        database=DatabasePasswordStatus(state="Current", rotated_at=BEGAN, next_rotation=DUE),
    )
    measure(SHOP, rotation)
    assert value(f"{kind}_rotated_timestamp_seconds") == SINCE
    assert value(f"{kind}_due_timestamp_seconds") == UNTIL
    assert value("api_key_refused" if kind == "api_key" else f"{kind}_rotation_failed") == 0
    measure(SHOP, None)
    assert value(f"{kind}_rotated_timestamp_seconds") is None
    assert value(f"{kind}_due_timestamp_seconds") is None


def test_a_failure_is_measured_where_nothing_is_known_of_the_age() -> None:
    pending = PendingKey(fingerprint="f", state="Refused", reason="Revoked", checked_at=BEGAN)
    rotation = RotationStatus(
        webhook=WebhookSecretStatus(state="Failed"),
        api_key=ApiKeyStatus(state="Refused", pending=pending),
        database=DatabasePasswordStatus(state="Failed", next_rotation=DUE),
    )
    measure(SHOP, rotation)
    found = [value(name) for name in ("webhook_rotation_failed", "api_key_refused", "database_rotation_failed")]
    assert found == [1, 1, 1]
    assert value("webhook_rotated_timestamp_seconds") is None
    measure(SHOP, RotationStatus())
    assert value("api_key_refused") is None


def test_an_environment_that_ends_leaves_the_others_measured() -> None:
    rotation = RotationStatus(webhook=WebhookSecretStatus(state="Failed"))
    other = ("billing", "other")
    measure(SHOP, rotation)
    measure(other, rotation)
    measure(SHOP, None)
    assert value("webhook_rotation_failed", other) == 1
    assert value("webhook_rotation_failed") is None
    measure(other, None)


def test_values_of_secret_key_that_are_gone_are_measured() -> None:
    def measured() -> list[float | None]:
        return [value("secret_key_failed"), value("secret_key_still_needed")]

    measure(SHOP, RotationStatus(secret_key=SecretKeyStatus(state="Failed")))
    assert measured() == [1, 0]
    measure(SHOP, RotationStatus(secret_key=SecretKeyStatus(state="Retaining")))
    assert measured() == [0, 1]
    measure(SHOP, RotationStatus(secret_key=SecretKeyStatus(state="Current")))
    assert measured() == [0, 0]
    measure(SHOP, None)
    assert measured() == [None, None]
