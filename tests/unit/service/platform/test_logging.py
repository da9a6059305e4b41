"""What never reaches a log line."""

from __future__ import annotations

import pytest

from payment_service.platform.logging import redact, redact_event


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key sk_live_51Habc123 used", "51Habc123"),
        ("rk_test_abcDEF", "abcDEF"),
        ("whsec_0123456789abcdef", "0123456789abcdef"),
        ("Authorization: Bearer lp_abcdefghijkl", "abcdefghijkl"),
        ("secret pi_123_secret_XYZ", "XYZ"),
        ("postgresql://payments:hunter2@db/payments", "hunter2"),
        ("card 4242 4242 4242 4242 refused", "4242 4242"),
        ("card 4242424242424242", "4242424242424242"),
    ],
)
def test_secrets_are_removed(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_ordinary_text_stays() -> None:
    text = "subscription lps_01a20cd92f in 42 ms for cus_123"
    assert redact(text) == text


def test_values_of_any_type_are_redacted() -> None:
    event = redact_event(None, "info", {"event": "x", "error": ValueError("sk_test_abc"), "count": 3})
    assert event == {"event": "x", "error": "sk_test_***", "count": 3}
