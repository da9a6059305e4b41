"""Every metric of the service. Children with fixed labels are looked up once: `labels()` costs more than `inc()`."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
disable_created_metrics()  # type: ignore[no-untyped-call] # the library types all but this
REGISTRY: Final = CollectorRegistry()
_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

HTTP_REQUESTS: Final = Counter(
    "payments_http_requests",
    "Requests answered; admitted: let in by an API key and its limits, or by Stripe's signature",
    ["method", "route", "status", "admitted"],
    registry=REGISTRY,
)
HTTP_SECONDS: Final = Histogram(
    "payments_http_request_duration_seconds",
    "From the first byte of a request to the last of its answer, less the waiting for its body",
    ["method", "route", "admitted"],
    buckets=_LATENCY,
    registry=REGISTRY,
)
CONNECTIONS_CUT: Final = Counter(
    "payments_http_connections_cut",
    "Connections that a limit ended, by port and limit",
    ["port", "reason"],
    registry=REGISTRY,
)
CONNECTIONS_OPEN: Final = Gauge("payments_http_connections", "Open client connections", ["port"], registry=REGISTRY)
REQUEST_BYTES_HELD: Final = Gauge(
    "payments_http_held_bytes", "Bytes of requests not answered and answers not taken", ["port"], registry=REGISTRY
)
PAYMENT_ATTEMPTS: Final = Counter(
    "payment_attempts", "Attempts to create a subscription by outcome", ["outcome"], registry=REGISTRY
)
PAYMENT_SECONDS: Final = Histogram(
    "payment_duration_seconds", "How long creating a subscription took", buckets=_LATENCY, registry=REGISTRY
)
STRIPE_REQUESTS: Final = Counter(
    "payments_stripe_requests", "Calls to Stripe by outcome", ["operation", "outcome"], registry=REGISTRY
)
STRIPE_SECONDS: Final = Histogram(
    "payments_stripe_request_duration_seconds",
    "How long calls to Stripe took",
    ["operation"],
    buckets=_LATENCY,
    registry=REGISTRY,
)
DATABASE_ERRORS: Final = Counter("payments_database_errors", "Database errors by kind", ["kind"], registry=REGISTRY)
DATABASE_COLLISIONS: Final = Counter(
    "payments_database_collisions", "Transactions begun anew because they collided with others", registry=REGISTRY
)
WEBHOOKS_RECEIVED: Final = Counter(
    "payments_webhooks_received", "Webhook deliveries by outcome", ["outcome"], registry=REGISTRY
)
EVENTS: Final = Counter("payments_events", "Inbox events by type and outcome", ["type", "outcome"], registry=REGISTRY)
INBOX_OLDEST: Final = Gauge(
    "payments_inbox_oldest_unapplied_seconds", "Age of the oldest event that waits to be applied", registry=REGISTRY
)
INBOX_DEAD: Final = Gauge("payments_inbox_dead", "Events given up after the last attempt", registry=REGISTRY)
OPERATIONS: Final = Counter(
    "payments_operations", "Operations by kind, phase and outcome", ["kind", "phase", "outcome"], registry=REGISTRY
)
OPERATIONS_PAST_LEASE: Final = Gauge(
    "payments_operations_past_lease", "Unfinished operations that began over five minutes ago", registry=REGISTRY
)
PAID_WITHOUT_ROW: Final = Gauge(
    "payments_paid_invoices_without_row", "Paid invoices whose subscription has no row here", registry=REGISTRY
)
DUPLICATES: Final = Gauge(
    "payments_duplicate_subscriptions",
    "Pairs of live subscriptions of one person to one product that were not ordered with allow_multiple",
    registry=REGISTRY,
)
ERASURES_OVERDUE: Final = Gauge(
    "payments_erasures_overdue",
    "Customers deleted at Stripe over an hour ago of whom something is kept here still",
    registry=REGISTRY,
)
FEED_UNSHOWN: Final = Counter(
    "payments_feed_unshown",
    "Events of the feed that show less than they should, by the kind of their object; each once for a process",
    ["kind"],
    registry=REGISTRY,
)
WEBHOOK_ATTEMPTS: Final = Counter(
    "payments_webhook_attempts",
    "Attempts to send an event to a webhook endpoint, by outcome and reason",
    ["outcome", "reason"],
    registry=REGISTRY,
)
WEBHOOK_SECONDS: Final = Histogram(
    "payments_webhook_attempt_duration_seconds",
    "How long attempts to send an event took",
    buckets=_LATENCY,
    registry=REGISTRY,
)
WEBHOOK_OLDEST: Final = Gauge(
    "payments_webhook_oldest_undelivered_seconds",
    "Age of the oldest event that waits to be sent to an enabled webhook endpoint",
    registry=REGISTRY,
)
WEBHOOK_ENDPOINTS: Final = Gauge(
    "payments_webhook_endpoints", "Webhook endpoints: working, failing or disabled", ["state"], registry=REGISTRY
)
WEBHOOKS_DISABLED: Final = Counter(
    "payments_webhook_endpoints_disabled",
    "Webhook endpoints disabled by this service: gone (410) or failing (for five days)",
    ["reason"],
    registry=REGISTRY,
)
DRIFT: Final = Counter("payments_drift", "Differences to Stripe that were repaired", ["object"], registry=REGISTRY)
CACHE_REQUESTS: Final = Counter("payments_cache_requests", "Cache look-ups by result", ["result"], registry=REGISTRY)
LIMITER_DECISIONS: Final = Counter(
    "payments_limiter_decisions", "Rate limiter decisions", ["decision"], registry=REGISTRY
)
REFUSED_KEYS: Final = Counter(
    "payments_refused_keys",
    "Requests refused with 401, by what was wrong with the API key",
    ["reason"],
    registry=REGISTRY,
)
DECLINES_REFUSED: Final = Counter(
    "payments_declines_refused",
    "Payments and setup intents refused because too many before were declined: of a card, an end user, an API key",
    ["dimension"],
    registry=REGISTRY,
)
IN_FLIGHT_REFUSED: Final = Counter(
    "payments_in_flight_refused",
    "Requests refused because their caller had as many, or as many database connections, as one may have at once",
    ["kind"],
    registry=REGISTRY,
)
LOST_KEYS: Final = Gauge(
    "payments_api_keys_without_secret_key", "Usable API keys that no value of SECRET_KEY verifies", registry=REGISTRY
)
RECOVERING: Final = Gauge(
    "payments_recovering", "1: the database was restored and is not yet compared with Stripe", registry=REGISTRY
)
BUILD_INFO: Final = Gauge("payments_build_info", "Version and schema number", ["version", "schema"], registry=REGISTRY)


def render() -> bytes:
    """Return the registry in Prometheus' text format."""
    return generate_latest(REGISTRY)
