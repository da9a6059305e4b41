"""No secret leaves in a report."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from tests.unit.operator.plugin.objects import condition, environment, observed

from payment_operator.plugin.describe import status_of
from payment_operator.plugin.redact import json_text
from payment_operator.plugin.screens import status_screen
from payment_operator.plugin.terminal import Style
from payment_operator.plugin.verbs.report import _add
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


def test_no_file_of_a_report_steers_the_terminal_that_shows_it() -> None:
    steering = "\x1b]0;TITLE\x07\x1b[2J\x9b31m\u202e"
    seen = observed(environment(status={"conditions": [condition("Ready", "False", "PodsNotReady", steering)]}))
    screen = "\n".join(status_screen(status_of(seen), Style()))
    assert steering in screen
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as archive:
        _add(archive, "status.txt", screen, seen)
    with tarfile.open(fileobj=io.BytesIO(stored.getvalue())) as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None
        text = file.read().decode()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "\\x1b]0;TITLE\\x07" in text
