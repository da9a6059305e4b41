"""What never reaches a log line."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from payment_service.config.settings import Settings
from payment_service.observability.logging import FILE_BYTES, FILES_KEPT, REQUEST_LINES, configure_logging, redact_event
from payment_service.observability.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTION = {
    "ENVIRONMENT": "production",
    "PAYMENTS_STRIPE_MODE": "test",
    "DATABASE_URL": "postgresql://payments@db/payments?sslmode=require",
    "REDIS_URL": "rediss://redis",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
}


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


def test_our_lines_and_libraries_lines_reach_stderr_and_the_file_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    configure_logging(Settings.from_env(PRODUCTION | {"LOG_FILE": str(file), "LOG_LEVEL": "INFO"}))
    log = structlog.get_logger("payments")
    log.debug("too_fine")
    log.info("made", count=3, key="sk_test_abc")
    log.error("failed", exc_info=ValueError("whsec_abc"))
    logging.getLogger("library").warning("careful with %s", "sk_test_abc")
    written = file.read_text()
    lines, printed = _parse(written), _parse(capsys.readouterr().err)
    assert all(line.pop("timestamp").endswith("Z") for line in lines + printed)
    assert printed == lines
    assert [(line["event"], line["level"], line["logger"]) for line in lines] == [
        ("made", "info", "payments"),
        ("failed", "error", "payments"),
        ("careful with sk_test_***", "warning", "library"),
    ]
    assert lines[0]["count"] == 3
    assert "whsec_***" in lines[1]["exception"]
    assert "abc" not in written


class Broken:
    """A standard error whose reader is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_broken_standard_error_fails_nothing_and_the_file_still_has_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    configure_logging(Settings.from_env(PRODUCTION | {"LOG_FILE": str(file)}))
    monkeypatch.setattr("sys.stderr", Broken())
    structlog.get_logger("payments").info("made")
    assert [line["event"] for line in _parse(file.read_text())] == ["made"]


LINE: dict[str, Any] = {"method": "GET", "route": "/api/v1/subscriptions", "status": 200, "milliseconds": 1.5}


def test_a_requests_line_looks_as_structlog_would_write_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    configure_logging(Settings.from_env(PRODUCTION | {"LOG_FILE": str(file)}))
    assert REQUEST_LINES.write(**LINE, request_id="from-the-caller-1")
    structlog.get_logger("payment_service.http").info("request", **LINE, request_id="from-the-caller-1")
    fast, slow = _parse(file.read_text())
    assert fast.keys() == slow.keys()
    assert all(line.pop("timestamp")[:10].count("-") == 2 for line in (fast, slow))
    assert fast == slow


@pytest.mark.parametrize("secret", ["sk_live_51Habcdef", "4242424242424242"])
def test_a_secret_sent_as_a_request_id_does_not_reach_the_line(tmp_path: Path, secret: str) -> None:
    file = tmp_path / "log"
    configure_logging(Settings.from_env(PRODUCTION | {"LOG_FILE": str(file)}))
    REQUEST_LINES.write(**LINE, request_id=secret)
    assert secret not in file.read_text()


@pytest.mark.parametrize("changes", [{"LOG_LEVEL": "WARNING"}, {"ENVIRONMENT": "development"}])
def test_a_requests_line_is_left_to_structlog_elsewhere(changes: dict[str, str]) -> None:
    configure_logging(Settings.from_env(PRODUCTION | changes))
    assert not REQUEST_LINES.write(**LINE, request_id="from-the-caller-1")


def test_the_log_file_is_rotated_and_ten_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (FILE_BYTES, FILES_KEPT) == (10 * 1024 * 1024, 10)
    monkeypatch.setattr("payment_service.observability.logging.FILE_BYTES", 1000)
    file = tmp_path / "log"
    configure_logging(Settings.from_env(PRODUCTION | {"LOG_FILE": str(file)}))
    log = structlog.get_logger("payments")
    for number in range(200):
        log.info("made", number=number)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(["log", *(f"log.{number}" for number in range(1, FILES_KEPT + 1))])
    assert _parse(file.read_text())[-1]["number"] == 199
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


def _parse(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]
