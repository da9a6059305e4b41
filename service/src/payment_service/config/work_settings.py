"""Settings of what works in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from payment_service.config.environment import EnvironmentReader

OUTBOX_DAYS: Final = 7
AUDIT_DAYS: Final = 90
"""The least that may be set. The functions of migration 14 remove nothing younger, whoever calls them."""
MAXIMUM_DAYS: Final = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSettings:
    """Operations, the inbox, and how long what the service wrote down is kept."""

    operation_lease_seconds: float
    """`PAYMENTS_OPERATION_LEASE_SECONDS`: after this without progress another process completes an operation."""
    idempotency_retention_hours: float
    """`PAYMENTS_IDEMPOTENCY_RETENTION_HOURS`: how long an Idempotency-Key is remembered; Stripe keeps its own 24 h."""
    stripe_calls_per_second: float
    """`PAYMENTS_STRIPE_BACKGROUND_RATE`: of all workers together, for fetches and reconciliation."""
    reconcile_seconds: float
    """`PAYMENTS_RECONCILE_SECONDS`: between two looks at Stripe's list of events."""
    event_lease_seconds: float
    """`PAYMENTS_EVENT_LEASE_SECONDS`: of one claimed inbox row, and of a webhook endpoint that a worker sends to."""
    event_max_attempts: int
    """`PAYMENTS_EVENT_MAX_ATTEMPTS`: then the row is dead."""
    event_lines: int
    """`PAYMENTS_EVENT_LINES`: how many events of a batch that is settled have a log line of their own."""
    event_retention_days: float
    """`PAYMENTS_EVENT_RETENTION_DAYS`: how long applied and dead rows stay."""
    outbox_retention_days: float
    """`PAYMENTS_OUTBOX_RETENTION_DAYS`: how long changes of state stay; the database keeps seven days in any case."""
    audit_retention_days: float
    """`PAYMENTS_AUDIT_RETENTION_DAYS`: how long the audit log stays; the database keeps 90 days in any case."""
    claim: bool
    """`PAYMENTS_WORKER_CLAIM`: whether a worker claims from the start."""
    claim_file: str
    """`PAYMENTS_WORKER_CLAIM_FILE`: holds `true` or `false` instead, and is followed; set by the operator."""


def read_work(reader: EnvironmentReader) -> WorkSettings:
    """Read them."""
    return WorkSettings(
        operation_lease_seconds=reader.number("PAYMENTS_OPERATION_LEASE_SECONDS", 90, minimum=1, maximum=3600),
        idempotency_retention_hours=reader.number("PAYMENTS_IDEMPOTENCY_RETENTION_HOURS", 72, minimum=24, maximum=8760),
        stripe_calls_per_second=reader.number("PAYMENTS_STRIPE_BACKGROUND_RATE", 20, minimum=0.1, maximum=1000),
        reconcile_seconds=reader.number("PAYMENTS_RECONCILE_SECONDS", 60, minimum=1, maximum=86400),
        event_lease_seconds=reader.number("PAYMENTS_EVENT_LEASE_SECONDS", 60, minimum=1, maximum=3600),
        event_max_attempts=reader.integer("PAYMENTS_EVENT_MAX_ATTEMPTS", 12, minimum=1, maximum=100),
        event_lines=reader.integer("PAYMENTS_EVENT_LINES", 10, minimum=0, maximum=1000),
        event_retention_days=reader.number("PAYMENTS_EVENT_RETENTION_DAYS", 90, minimum=1, maximum=MAXIMUM_DAYS),
        outbox_retention_days=reader.number(
            "PAYMENTS_OUTBOX_RETENTION_DAYS", 90, minimum=OUTBOX_DAYS, maximum=MAXIMUM_DAYS
        ),
        audit_retention_days=reader.number(
            "PAYMENTS_AUDIT_RETENTION_DAYS", 400, minimum=AUDIT_DAYS, maximum=MAXIMUM_DAYS
        ),
        claim=reader.flag("PAYMENTS_WORKER_CLAIM", default=True),
        claim_file=reader.text("PAYMENTS_WORKER_CLAIM_FILE"),
    )
