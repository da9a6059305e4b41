"""Whatever leaves a process by its own way passes the redaction: one test for each way."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from payment_operator import logs as operator_logs
from payment_operator.model.conditions import Finding, stamped
from payment_service.config.settings import Settings
from payment_service.errors import PaymentsError
from payment_service.http.problems import problem_body
from payment_service.migrations import command
from payment_service.observability.logging import configure_logging
from payment_service.observability.metrics import REGISTRY
from payment_service.observability.tracing import Tracing

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "Canary7f3kQ9zLx2"
SECRETS = (
    f"sk_live_{CANARY}",
    f"rediss://:{CANARY}/x@cache:6379",
    f"host=db password={CANARY}",
    f"{CANARY}@example.com",
)
TEXT = " ".join(SECRETS)
PRODUCTION = {
    "ENVIRONMENT": "production",
    "PAYMENTS_STRIPE_MODE": "test",
    "DATABASE_URL": "postgresql://payments@db/payments",
    "REDIS_URL": "redis://redis",
    "PAYMENTS_ALLOW_PLAINTEXT": "database,redis",
    "STRIPE_SECRET_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz",
    "LOG_LEVEL": "DEBUG",
}
LABELS = {
    "method", "route", "status", "result", "operation", "kind", "type", "outcome", "object", "decision", "version",
    "schema", "port", "le", "code", "reason", "phase", "quantile", "dimension", "admitted",
    "state",
}  # fmt: skip
"""Of metrics: each has values that our code or Stripe's lists name, none is what a caller wrote."""


class Failed(Exception):
    """Holds what must not be read in its text, its cause and its variables."""


def raised() -> Failed:
    """Return an error that was raised from another."""
    password = f"{CANARY}-in-a-variable"
    try:
        try:
            raise ValueError(TEXT)
        except ValueError as error:
            raise Failed(TEXT, len(password)) from error
    except Failed as error:
        return error


Start = Callable[[], Callable[[], str]]


@pytest.fixture(params=["production", "development", "operator"])
def start(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Start:
    """Set up logging as a process does, in the test itself (pytest captures anew for it); return what reads it."""

    def begin() -> Callable[[], str]:
        if request.param == "operator":
            operator_logs.configure("DEBUG")
        else:
            configure_logging(Settings.from_env(PRODUCTION | {"ENVIRONMENT": request.param}))
        return lambda: "".join(capsys.readouterr())

    return begin


def check(text: str) -> None:
    """Something was written, and nothing secret."""
    assert "***" in text
    assert CANARY not in text


@pytest.mark.parametrize(
    "name", ["uvicorn.error", "asyncio", "kopf.objects", "aiohttp.client", "a.library", "py.warnings"]
)
def test_lines_of_libraries_are_redacted(start: Start, name: str) -> None:
    written = start()
    logging.getLogger(name).error("it failed: %s", TEXT)
    logging.getLogger(name).error("it failed: %r", {"authorization": f"Bearer {CANARY}"}, exc_info=raised())
    check(written())


def test_arguments_that_do_not_fit_are_not_printed(start: Start) -> None:
    written = start()
    record = logging.LogRecord("a.library", logging.ERROR, __file__, 1, "%d of %d", (TEXT,), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, operator_logs.JsonFormatter | structlog.stdlib.ProcessorFormatter):
            handler.handle(record)
    text = written()
    assert "do not fit" in text
    assert CANARY not in text


def test_warnings_are_redacted(start: Start) -> None:
    written = start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(TEXT, UserWarning, stacklevel=1)
    check(written())


def test_what_asyncio_says_of_a_lost_task_is_redacted(start: Start) -> None:
    written = start()

    async def lose() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": TEXT, "exception": raised()})

    asyncio.run(lose())
    check(written())


@pytest.mark.parametrize("start", ["production", "development"], indirect=True)
def test_lines_of_ours_are_redacted_in_text_fields_and_tracebacks(start: Start) -> None:
    written = start()
    log = structlog.get_logger("payments")
    log.error(TEXT, error=TEXT, client_secret=CANARY, nested={"headers": [{"authorization": CANARY}], "note": TEXT})
    log.error("failed", exc_info=raised())
    check(written())


def test_a_problem_quotes_no_secret() -> None:
    error = PaymentsError(f"Stripe said: {TEXT}", errors=[{"field": "email", "message": TEXT}], param=TEXT)
    check(problem_body(error, request_id=None).decode())


def test_a_condition_quotes_no_secret() -> None:
    (condition,) = stamped([Finding("Ready", "False", "Refused", TEXT)], former=[], generation=1, now="")
    check(condition.message)


def test_the_last_words_of_a_migration_hold_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "termination-log"
    settings = Settings.from_env(PRODUCTION | {"PAYMENTS_TERMINATION_LOG": str(file)})
    if settings.termination_log != str(file):
        pytest.fail("the setting has another name")
    command._conclude(settings, {"error": TEXT}, code=1)
    check(file.read_text())
    check(capsys.readouterr().err)


def test_spans_hold_no_secret() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(version="test", exporter=exporter)
    try:
        with tracing._tracer.start_as_current_span(f"GET {TEXT}") as span:
            span.set_attributes({"url.full": f"https://x/?password={CANARY}", "db.statement": TEXT, "list": [TEXT]})
            span.add_event("said", {"text": TEXT})
            span.record_exception(raised())
            span.set_status(StatusCode.ERROR, TEXT)
        tracing.provider.force_flush()
        (found,) = exporter.get_finished_spans()
        check(found.to_json())
        assert json.loads(found.to_json())["events"][1]["attributes"]["exception.type"].endswith("Failed")
    finally:
        tracing.close()


def test_labels_of_metrics_are_words_of_ours() -> None:
    found: set[str] = set()
    for collector in list(REGISTRY._collector_to_names):
        found |= set(getattr(collector, "_labelnames", ()))
    assert found <= LABELS
