"""Log lines: JSON, without secrets."""

from __future__ import annotations

import json
import logging
import sys

from payment_operator.logs import JsonFormatter


def line(message: str, *arguments: object, exception: bool = False, **extra: str) -> dict[str, str]:
    trace = sys.exc_info() if exception else None
    record = logging.LogRecord("payment_operator", logging.WARNING, __file__, 1, message, arguments, trace)
    record.__dict__ |= extra
    return dict(json.loads(JsonFormatter().format(record)))


def test_a_line_is_one_object() -> None:
    written = line("applied %s %s", "Deployment", "shop-api", environment="test/shop")
    assert (written["event"], written["level"]) == ("applied Deployment shop-api", "warning")
    assert written["environment"] == "test/shop"


def test_secrets_are_removed_from_the_text_and_the_traceback() -> None:
    assert line("key %s", "sk_live_0123456789")["event"] == "key sk_live_***"
    try:
        raise ValueError("postgresql://app:pass-word@db/x")
    except ValueError:
        written = line("failed", exception=True)
    assert "ValueError" in written["exception"]
    assert "pass-word" not in written["exception"]
