"""Traces by OpenTelemetry, when `PAYMENTS_TRACING` is on: requests, statements and calls to Stripe.

The extra `tracing` brings the libraries; while tracing is off nothing here loads them. (The Redis client loads a part
of them by itself where they are installed, so the image holds them only when it is built with `EXTRAS=tracing`.)
Where spans go is said by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT` and so on,
opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables). Spans carry routes, statements without their
values and addresses of Stripe without their query, which may name a person; no header or body. What the libraries note
by themselves (exceptions with their tracebacks) passes the same redaction as log lines on its way out.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from payment_service.observability.redaction import redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined] # untyped
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from sqlalchemy.ext.asyncio import AsyncEngine

SERVICE_NAME = "lean-payments"
PROBES = ("/health", "/metrics")


def available() -> bool:
    """Tell whether the extra is installed."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


class Tracing:
    """The tracer of one process.

    Args:
        version: of the service.
        exporter: where spans go; default: the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    def __init__(self, *, version: str, exporter: SpanExporter | None = None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor  # noqa: PLC0415 - as above
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

        resource = Resource.create({"service.name": SERVICE_NAME, "service.version": version})
        self.provider = TracerProvider(resource=resource)
        self.provider.add_span_processor(BatchSpanProcessor(_redacting(exporter or OTLPSpanExporter())))
        self._tracer = self.provider.get_tracer("payment_service")
        calls = AioHttpClientInstrumentor()
        calls.instrument(tracer_provider=self.provider, url_filter=lambda url: str(url.with_query(None)))
        self._instrumentors: list[BaseInstrumentor] = [calls]

    def watch(self, engine: AsyncEngine) -> None:
        """Make spans of the engine's statements."""
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor  # noqa: PLC0415 - optional

        statements = SQLAlchemyInstrumentor()
        # it works with 2.1 although it does not name it yet
        statements.instrument(engine=engine.sync_engine, tracer_provider=self.provider, skip_dep_check=True)
        self._instrumentors.append(statements)

    def wrap(self, application: ASGIApp) -> ASGIApp:
        """Make a span of each request, as a part of the caller's trace (w3.org/TR/trace-context)."""
        from opentelemetry.propagate import extract  # noqa: PLC0415 - optional
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - as above

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            kind: object = scope["type"]
            if kind != "http" or scope["path"].startswith(PROBES):
                await application(scope, receive, send)
                return
            carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            method = str(scope.get("method"))
            with self._tracer.start_as_current_span(method, context=extract(carrier), kind=SpanKind.SERVER) as span:

                async def send_noted(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        route = scope.get("path_template") or "unmatched"
                        span.update_name(f"{method} {route}")
                        span.set_attributes(
                            {
                                "http.request.method": method,
                                "http.route": route,
                                "http.response.status_code": message["status"],
                                "payments.request_id": str(scope.get("request_id", "")),
                            }
                        )
                        if message["status"] >= 500:  # noqa: PLR2004 - OpenTelemetry's rule for servers
                            span.set_status(StatusCode.ERROR)
                    await send(message)

                await application(scope, receive, send_noted)

        return traced

    def close(self) -> None:
        """Send what waits, and stop."""
        for instrumentor in self._instrumentors:
            instrumentor.uninstrument()
        self.provider.shutdown()


def _redacting(exporter: SpanExporter) -> SpanExporter:
    """Return an exporter that removes secrets from all texts of spans before `exporter` sends them."""
    from opentelemetry.sdk.trace.export import SpanExporter  # noqa: PLC0415 - optional

    class Redacting(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return exporter.export([_clean(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return bool(exporter.force_flush(timeout_millis))

    return Redacting()


def _clean(span: ReadableSpan) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415 - optional
    from opentelemetry.trace import Status  # noqa: PLC0415 - as above

    said = span.status.description
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=redact_value(span.attributes or {}),
        events=[
            Event(redact(event.name), redact_value(event.attributes or {}), event.timestamp) for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, redact(said) if said else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
