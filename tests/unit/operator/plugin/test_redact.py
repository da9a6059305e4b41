"""No secret leaves in a report."""

from __future__ import annotations

import json

import pytest

from payment_operator.plugin.redact import json_text
from payment_operator.redaction import MARK, redact

CANARY = "Canary7f3kQ9zLx2"


@pytest.mark.parametrize(
    "text",
    [
        f"STRIPE_SECRET_KEY=sk_live_{CANARY}",
        f"rk_test_{CANARY} was used",
        f"whsec_{CANARY}",
        f"postgresql://owner:{CANARY}@database:5432/payments",
        f"rediss://:{CANARY}@cache:6379/0",
        f"Authorization: Bearer {CANARY}",
        f'{{"password": "{CANARY}"}}',
        f"token={CANARY}&x=1",
        f"pi_3Nabcdefgh_secret_{CANARY}",
        f"lp_{CANARY}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{CANARY}",
    ],
)
def test_a_secret_is_removed_from_a_text(text: str) -> None:
    assert CANARY not in redact(text)
    assert MARK in redact(text)


def test_card_numbers_and_mail_addresses_are_removed() -> None:
    found = redact("card 4242 4242 4242 4242 of grace@example.com")
    assert found == f"card {MARK} of {MARK}"


def test_what_helps_stays() -> None:
    kept = "2026-11-25T12:00:00Z shop-api-9f3c1a2b 10.244.0.17:8000 lps_01a20cd931 exit code 137 after 1732536000 s"
    assert redact(kept) == kept


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "Secret", "data": {"a": CANARY}},
        {"kind": "Secret", "stringData": {"a": CANARY}},
        {"env": [{"name": "SMTP_PASSWORD", "value": CANARY}]},
        {"spec": {"api": {"config": {"SENTRY_DSN": CANARY}}}},
        {"metadata": {"managedFields": [{"f": CANARY}]}},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY}}},
    ],
)
def test_a_secret_is_removed_from_an_object(value: dict[str, object]) -> None:
    assert CANARY not in json_text(value)


def test_an_object_keeps_what_is_no_secret() -> None:
    value = {"env": [{"name": "SECRET_KEY_FILE", "value": "/run/secrets/payments/SECRET_KEY"}], "LOG_LEVEL": "INFO"}
    assert json.loads(json_text(value)) == value
