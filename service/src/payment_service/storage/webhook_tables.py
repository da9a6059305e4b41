"""Whom events are sent to, and what became of each event that is to be sent: a row of `webhook_deliveries` is the job.

A worker holds an endpoint by a lease and nothing smaller: who holds it alone sends what is pending there, so events of
one object keep their order whatever number of workers there is.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, text
from sqlalchemy.schema import Index, UniqueConstraint

from payment_service.storage.column_types import Json, UtcDateTime, only
from payment_service.storage.tables import metadata as metadata  # noqa: PLC0414 - alembic takes all tables from here

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("event_types", Json, nullable=False, comment="as invoice.paid or invoice.*; empty: all"),
    Column("customer_metadata", Json, nullable=False, comment="what the customer of an event must have"),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_reason", Text, comment="asked, gone (410) or failing (for five days)"),
    Column("disabled_at", UtcDateTime),
    Column("secret_salt", Text, nullable=False, comment="what its secret is derived with; no secret itself"),
    Column("secret_value", Text, nullable=False, comment="id of the value of WEBHOOK_SIGNING_KEY it is derived from"),
    Column("former_salt", Text, comment="of the secret before, which signs too until former_until"),
    Column("former_value", Text),
    Column("former_until", UtcDateTime),
    Column("livemode", Boolean, nullable=False),
    Column("reached", BigInteger, nullable=False, comment="sequence of the last event that was looked at for it"),
    Column("failing_since", UtcDateTime, comment="first of the failures that no success came after"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="as many have failed in a row"),
    Column("resume_at", UtcDateTime, nullable=False, comment="nothing is sent before: it fails, or too much waits"),
    Column("due_at", UtcDateTime, comment="when the next of its deliveries is due; null: none is pending"),
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("replay_id", Text, comment="of the replay under way; null: there is none"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
Index(
    "ix_webhook_endpoints_created_at",
    webhook_endpoints.c.livemode,
    webhook_endpoints.c.created_at,
    webhook_endpoints.c.id,
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint_id", Text, nullable=False),
    Column("sequence", BigInteger, comment="of the event; null: a test, which is of no feed"),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("state", Text, nullable=False, comment="pending, delivered, failed or skipped"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", UtcDateTime, nullable=False, comment="of the next attempt"),
    Column("last_status", Integer, comment="of the last answer; null: there was none"),
    Column("last_error", Text, comment="why the last attempt failed"),
    Column("last_ms", Integer, comment="how long the last attempt took"),
    Column("attempted_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("replay_id", Text, comment="of the replay that sends it again, after what is new; null: it is new"),
    Column("webhook_id", Text, comment="another one than the event's, which a replay was asked for"),
    UniqueConstraint("endpoint_id", "sequence"),
)
PENDING: Final = "pending"
Index(
    "ix_webhook_deliveries_pending",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.object_id,
    webhook_deliveries.c.sequence,
    **only(f"state = '{PENDING}'"),
)
Index(
    "ix_webhook_deliveries_created_at",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.created_at,
    webhook_deliveries.c.id,
)
Index("ix_webhook_deliveries_settled_at", webhook_deliveries.c.settled_at, **only("settled_at IS NOT NULL"))
Index(
    "ix_webhook_deliveries_replay_id",
    webhook_deliveries.c.replay_id,
    webhook_deliveries.c.state,
    **only("replay_id IS NOT NULL"),
)

webhook_replays = Table(
    "webhook_replays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint_id", Text, nullable=False),
    Column("asked_since", UtcDateTime, nullable=False),
    Column("asked_until", UtcDateTime, comment="null: until it was asked for"),
    Column("event_types", Json, nullable=False, comment="as invoice.paid or invoice.*; empty: all of the endpoint's"),
    Column("fresh_ids", Boolean, nullable=False, comment="whether deliveries get a webhook-id of their own"),
    Column("events", BigInteger, nullable=False, comment="as many at most, as counted when it was asked for"),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("reached", BigInteger, nullable=False, comment="sequence of the last event that was looked at for it"),
    Column("state", Text, nullable=False, comment="running, done or canceled"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)
Index(
    "ix_webhook_replays_created_at",
    webhook_replays.c.endpoint_id,
    webhook_replays.c.created_at,
    webhook_replays.c.id,
)
