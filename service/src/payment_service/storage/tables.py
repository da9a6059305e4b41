"""Every table, as SQLAlchemy Core describes it; the migrations under `migrations/versions` create them.

Objects that mirror Stripe's hold no foreign keys to each other: Stripe promises no order of events, so a child may
arrive before its parent (docs.stripe.com/webhooks#event-ordering). `stripe_updated` is the `created` (whole seconds)
of the newest event applied to a row.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Text, text
from sqlalchemy.schema import CheckConstraint, Column, Index, MetaData, Table, UniqueConstraint

from payment_service.storage.column_types import BigSerial, Json, UtcDateTime, only

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LIVE_STATUSES = ("trialing", "active", "past_due", "unpaid", "paused")
"""Statuses in which a subscription gives access or can do so again without a new one."""
SLOT_STATUSES = ("creating", "incomplete", *LIVE_STATUSES)
"""Statuses in which a row can hold a slot; `creating` is ours, before Stripe has answered."""
PERSONAL = "in personal_data; empty: nothing personal; null: not parted yet"
_UNPARTED = "finished AND personal_id IS NULL"
_SLOT = "exclusive AND status IN ('creating','incomplete','trialing','active','past_due','unpaid','paused')"


def _timestamps() -> tuple[Column[Any], Column[Any]]:
    return (Column("created_at", UtcDateTime, nullable=False), Column("updated_at", UtcDateTime, nullable=False))


customers = Table(
    "customers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stripe_customer_id", Text, unique=True),
    Column("reference", Text, comment="the caller's own id"),
    Column("email", Text),
    Column("address_key", Text, comment="the address in the one form by which it is compared"),
    Column("email_key", Text, comment="address_key of one made by address alone: two requests make one"),
    Column("name", Text),
    Column("default_payment_method_id", Text),
    Column("payment_methods_at", UtcDateTime, comment="from when on all that it has saved is here; null: not yet"),
    Column("metadata", Json, nullable=False),
    Column("origin", Text, nullable=False, comment="api: made here; stripe: seen in an event"),
    Column("livemode", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False, server_default=text("false")),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    Column("address_since", UtcDateTime, comment="when it got its address; null: it was made with it"),
    Column("erased_at", UtcDateTime, comment="when what was kept beside this row went, after a deletion at Stripe"),
    *_timestamps(),
    UniqueConstraint("livemode", "reference"),
    UniqueConstraint("livemode", "email_key"),
)
Index("ix_customers_address_key", customers.c.livemode, customers.c.address_key)
Index("ix_customers_email", customers.c.livemode, customers.c.email)
Index(
    "ix_customers_address_since",
    customers.c.livemode,
    customers.c.address_since,
    **only("address_since IS NOT NULL"),
)
Index("ix_customers_created_at", customers.c.livemode, customers.c.created_at, customers.c.id)
Index("ix_customers_erased_at", customers.c.updated_at, customers.c.id, **only("deleted AND erased_at IS NULL"))

products = Table(
    "products",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text),
    Column("active", Boolean, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False, server_default=text("false")),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    *_timestamps(),
)

prices = Table(
    "prices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("product_id", Text, nullable=False),
    Column("lookup_key", Text),
    Column("currency", Text, nullable=False),
    Column("unit_amount", BigInteger, comment="minor units; null for tiers and decimal amounts"),
    Column("recurring_interval", Text),
    Column("interval_count", Integer),
    Column("metered", Boolean, nullable=False, server_default=text("false"), comment="it takes no quantity"),
    Column("active", Boolean, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False, server_default=text("false")),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    *_timestamps(),
    Index("ix_prices_lookup_key", "livemode", "lookup_key"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stripe_subscription_id", Text, unique=True),
    Column("customer_id", Text),
    Column("stripe_customer_id", Text),
    Column("product_id", Text, nullable=False),
    Column("ordered_product_id", Text, comment="the product that was ordered here, whatever Stripe shows now"),
    Column("price_id", Text, nullable=False),
    Column("quantity", BigInteger, comment="null: a metered price has none"),
    Column("status", Text, nullable=False),
    Column("pause_behavior", Text, comment="of invoices while their collection is paused"),
    Column("pause_resumes_at", UtcDateTime),
    Column("paused_reason", Text, comment="why the status is paused"),
    Column("exclusive", Boolean, nullable=False, comment="holds the slot of customer and product_id in the index"),
    Column("operation_id", Text, comment="the operation that made it"),
    Column(
        "joined",
        Json,
        nullable=False,
        server_default=text("'{}'"),
        comment="when it got each of its products, in seconds; null: it was made with it",
    ),
    Column("joined_at", UtcDateTime, comment="when it was seen first, or got a product, or began"),
    Column("cancel_at_period_end", Boolean, nullable=False, server_default=text("false")),
    Column("cancel_at", UtcDateTime),
    Column("canceled_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("trial_end", UtcDateTime),
    Column("current_period_start", UtcDateTime),
    Column("current_period_end", UtcDateTime),
    Column("latest_invoice_id", Text),
    Column("items", Json, nullable=False, server_default=text("'[]'")),
    Column("metadata", Json, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_updated", BigInteger, nullable=False, server_default=text("0")),
    *_timestamps(),
    Index("ix_subscriptions_customer_id", "customer_id", "id"),
    Index("ix_subscriptions_stripe_customer_id", "stripe_customer_id"),
    Index("ix_subscriptions_created_at", "livemode", "created_at", "id"),
    Index("ix_subscriptions_joined_at", "livemode", "joined_at", **only("joined_at IS NOT NULL")),
)
Index(
    "uq_subscriptions_slot",
    subscriptions.c.livemode,
    subscriptions.c.customer_id,
    subscriptions.c.product_id,
    unique=True,
    **only(_SLOT),
)

operations = Table(
    "operations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("mark", Text, comment="names it at Stripe; null in rows of earlier versions: the id"),
    Column("principal", Text, nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("request", Json, nullable=False, comment="the validated request"),
    Column("phase", Text, nullable=False),
    Column("facts", Json, nullable=False, comment="what the phases found out; enough to resume"),
    Column("finished", Boolean, nullable=False, server_default=text("false")),
    Column("response_status", Integer),
    Column("response_body", LargeBinary),
    Column("response_content_type", Text),
    Column("request_id", Text),
    Column("lease_owner", Text),
    Column("lease_expires_at", UtcDateTime, nullable=False),
    Column("fence", BigInteger, nullable=False, comment="grows with every change of the driver"),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("personal_id", Text, comment=PERSONAL),
    *_timestamps(),
    Index("ix_operations_personal_id", "id", **only(_UNPARTED)),
    Index("ix_operations_customer_id", text("(facts ->> 'customer_id')"), **only(_UNPARTED)),
    Index("ix_operations_subscription_id", text("(facts ->> 'stripe_subscription_id')"), **only(_UNPARTED)),
    Index("ix_operations_lease_expires_at", "lease_expires_at", **only("NOT finished")),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("livemode", Boolean, primary_key=True),
    Column("method", Text, primary_key=True),
    Column("route", Text, primary_key=True, comment="the template, not the path"),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of canonical body and path parameters"),
    Column("operation_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_idempotency_keys_expires_at", "expires_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True, comment="Stripe's event id"),
    Column("type", Text, nullable=False),
    Column("object_id", Text, nullable=False, comment="the object that the event tells about"),
    Column("group_key", Text, nullable=False, comment="events with the same key are applied one at a time"),
    Column("api_version", Text),
    Column("livemode", Boolean, nullable=False),
    Column("stripe_created", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False, comment="the body as received"),
    Column("source", Text, nullable=False, comment="webhook or reconcile"),
    Column("state", Text, nullable=False, comment="pending, applied, ignored, dead or discarded"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("available_at", UtcDateTime, nullable=False, comment="not to be claimed before"),
    Column("lease_owner", Text),
    Column("lease_expires_at", UtcDateTime),
    Column("fetch", Boolean, nullable=False, server_default=text("false")),
    Column("last_error", Text, comment="why it failed, or is ignored"),
    Column("discard_reason", Text, comment="why a person gave it up"),
    Column("erased_at", UtcDateTime, comment="when the payload was reduced: its customer was deleted at Stripe"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    Index("ix_events_available_at", "available_at", **only("state = 'pending'")),
    Index("ix_events_group_key", "group_key", **only("state = 'pending'")),
    Index("ix_events_settled_at", "settled_at", **only("state <> 'pending'")),
    Index("ix_events_object_id", "object_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigSerial, primary_key=True, autoincrement=True),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("cause", Text, nullable=False, comment="the id of the event or operation"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("personal_id", Text, comment=PERSONAL),
    Index("ix_outbox_object_id", "object_id", "seq"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Json, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal", Text, nullable=False, comment="who; the same after a rotation"),
    Column("prefix", Text, nullable=False, comment="the key's beginning, to recognise it"),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="HMAC-SHA256 under SECRET_KEY"),
    Column("digest_value", Text, comment="id of the SECRET_KEY value that digest is under"),
    Column("former_digest", LargeBinary, comment="under the value that it was known by before, or by the second one"),
    Column("former_value", Text, comment="id of the SECRET_KEY value that former_digest is under"),
    Column("mac_value", Text, comment="id of the SECRET_KEY value that the key's own MAC is under"),
    Column("scope", Text, nullable=False, comment="events:read, read, endpoints:write, write or admin"),
    Column("livemode", Boolean, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_api_keys_former_digest", "former_digest"),
    Index("ix_api_keys_principal", "principal"),
    CheckConstraint("scope IN ('events:read', 'read', 'endpoints:write', 'write', 'admin')", name="ck_api_keys_scope"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", BigSerial, primary_key=True, autoincrement=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("details", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("database_role", Text, comment="session_user; null where there are no roles"),
    Column("on_behalf_of", Text, comment="who asked, as the application says; null: actor says it"),
)

schema_versions = Table(
    "schema_versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", Text, nullable=False),
    Column("phase", Text, nullable=False, comment="expand or contract"),
    Column("oldest_application", Integer, nullable=False, comment="oldest application schema number that still works"),
    Column("applied_at", UtcDateTime, nullable=False),
)
