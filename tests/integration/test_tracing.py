"""OpenTelemetry: one trace from the request to Stripe and the database; nothing of it is loaded while it is off."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.logged import secrets_in
from tests.servers.stack import CREATE

from payment_service.bootstrap import build, create_app
from payment_service.config import checks
from payment_service.config.settings import Settings
from payment_service.observability.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    from tests.servers.stack import Stack

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BODY = {"price_id": "price_pro", "email": "ada@example.com", "payment_method_id": "pm_card_visa"}


async def spans_of(stack: Stack) -> Sequence[Any]:
    """Create a subscription with tracing on and return the spans."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(version="test", exporter=exporter)
    parts = build(stack.parts.settings, clock=stack.clock)
    parts.tracing = tracing
    application: Any = create_app(parts)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://api") as client:
            answer = await client.post(CREATE, json=BODY, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
            assert answer.status_code == 201
            assert (await client.get("/health/live")).status_code == 200
        tracing.provider.force_flush()
        return exporter.get_finished_spans()
    finally:
        await parts.close()  # else libraries stay instrumented, for the next test's exporter too


async def test_one_trace_goes_from_the_caller_to_stripe_and_the_database(stack: Stack) -> None:
    spans = await spans_of(stack)
    (request,) = [span for span in spans if span.name == f"POST {CREATE}"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.attributes["http.response.status_code"] == 201
    traced = [span for span in spans if span.context.trace_id == request.context.trace_id]
    kinds = {span.name.split(" ")[0] for span in traced}
    assert {"POST", "INSERT"} <= kinds
    to_stripe = [span for span in traced if "/v1/subscriptions" in str(span.attributes)]
    assert to_stripe


async def test_spans_carry_no_keys_and_no_values_of_statements(stack: Stack) -> None:
    text = "\n".join(f"{span.name} {dict(span.attributes)}" for span in await spans_of(stack))
    assert secrets_in(text) == []
    assert "ada@example.com" not in text


def imported(before: str) -> str:
    """Load API and worker in a fresh interpreter and return which parts of OpenTelemetry came with them."""
    code = (
        f"import sys\n{before}\nimport payment_service.processes, payment_service.http_api\n"
        "parts = ('opentelemetry.exporter', 'opentelemetry.instrumentation', 'opentelemetry.sdk.trace')\n"
        "print([name for name in sys.modules if name.startswith(parts)])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_nothing_is_loaded_while_it_is_off() -> None:
    assert imported("") == "[]"


def test_the_service_runs_without_the_extra() -> None:
    assert imported("sys.modules['opentelemetry'] = None") == "[]"


def test_without_the_extra_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available", lambda: False)
    settings = replace(Settings.from_env({}), tracing=True)
    (problem,) = checks.check_tracing(settings)
    assert problem.startswith("PAYMENTS_TRACING:")
    assert "payment-service[tracing]" in problem
