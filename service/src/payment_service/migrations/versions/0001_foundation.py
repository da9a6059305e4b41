"""Customers, catalogue, subscriptions, invoices, operations, idempotency keys, the inbox and the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_foundation"
down_revision = None
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 1
oldest_application = 1

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", JSON, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True, comment="the caller's own id"),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column(
            "email_key",
            sa.Text(),
            nullable=True,
            comment="lower-case address of a customer found or created by address",
        ),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False, comment="api: made here; stripe: seen in an event"),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("livemode", "email_key", name=op.f("uq_customers_livemode_email_key")),
        sa.UniqueConstraint("livemode", "reference", name=op.f("uq_customers_livemode_reference")),
        sa.UniqueConstraint("stripe_customer_id", name=op.f("uq_customers_stripe_customer_id")),
    )
    op.create_index("ix_customers_email", "customers", ["livemode", "email"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", sa.Text(), nullable=False, comment="Stripe's event id"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False, comment="the object that the event tells about"),
        sa.Column("group_key", sa.Text(), nullable=False, comment="events with the same key are applied one at a time"),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_created", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="the body as received"),
        sa.Column("source", sa.Text(), nullable=False, comment="webhook or reconcile"),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, applied, ignored or dead"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False, comment="not to be claimed before"),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(
        "ix_events_available_at",
        "events",
        ["available_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_events_group_key",
        "events",
        ["group_key"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_events_object_id", "events", ["object_id"], unique=False)

    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False, comment="the template, not the path"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "fingerprint", sa.LargeBinary(), nullable=False, comment="SHA-256 of canonical body and path parameters"
        ),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "livemode", "method", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"], unique=False)

    op.create_table(
        "invoices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("stripe_subscription_id", sa.Text(), nullable=True),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("billing_reason", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_due", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("amount_paid", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("attempt_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
    )
    op.create_index("ix_invoices_stripe_subscription_id", "invoices", ["stripe_subscription_id"], unique=False)

    op.create_table(
        "operations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("request", JSON, nullable=False, comment="the validated request"),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("facts", JSON, nullable=False, comment="what the phases found out; enough to resume"),
        sa.Column("finished", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_body", sa.LargeBinary(), nullable=True),
        sa.Column("response_content_type", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="grows with every change of the driver"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index(
        "ix_operations_lease_expires_at",
        "operations",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("NOT finished"),
        sqlite_where=sa.text("NOT finished"),
    )

    op.create_table(
        "outbox",
        sa.Column("seq", BIG_SERIAL, autoincrement=True, nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("cause", sa.Text(), nullable=False, comment="the id of the event or operation"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
    )
    op.create_table(
        "prices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("lookup_key", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "unit_amount", sa.BigInteger(), nullable=True, comment="minor units; null for tiers and decimal amounts"
        ),
        sa.Column("recurring_interval", sa.Text(), nullable=True),
        sa.Column("interval_count", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
    )
    op.create_index("ix_prices_lookup_key", "prices", ["livemode", "lookup_key"], unique=False)

    op.create_table(
        "products",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
    )
    op.create_table(
        "schema_versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False, comment="expand or contract"),
        sa.Column(
            "oldest_application",
            sa.Integer(),
            nullable=False,
            comment="oldest application schema number that still works",
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_schema_versions")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("stripe_subscription_id", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("price_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False, comment="holds the one place of customer and product"),
        sa.Column("operation_id", sa.Text(), nullable=True, comment="the operation that made it"),
        sa.Column("cancel_at_period_end", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_period_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("current_period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latest_invoice_id", sa.Text(), nullable=True),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("stripe_subscription_id", name=op.f("uq_subscriptions_stripe_subscription_id")),
    )
    op.create_index("ix_subscriptions_customer_id", "subscriptions", ["customer_id", "id"], unique=False)
    op.create_index("ix_subscriptions_stripe_customer_id", "subscriptions", ["stripe_customer_id"], unique=False)
    op.create_index(
        "uq_subscriptions_slot",
        "subscriptions",
        ["livemode", "customer_id", "product_id"],
        unique=True,
        postgresql_where=sa.text(
            "exclusive AND status IN ('creating','incomplete','trialing','active','past_due','unpaid','paused')"
        ),
        sqlite_where=sa.text(
            "exclusive AND status IN ('creating','incomplete','trialing','active','past_due','unpaid','paused')"
        ),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(
        "uq_subscriptions_slot",
        table_name="subscriptions",
        postgresql_where=sa.text(
            "exclusive AND status IN ('creating','incomplete','trialing','active','past_due','unpaid','paused')"
        ),
        sqlite_where=sa.text(
            "exclusive AND status IN ('creating','incomplete','trialing','active','past_due','unpaid','paused')"
        ),
    )
    op.drop_index("ix_subscriptions_stripe_customer_id", table_name="subscriptions")
    op.drop_index("ix_subscriptions_customer_id", table_name="subscriptions")

    op.drop_table("subscriptions")
    op.drop_table("schema_versions")
    op.drop_table("products")
    op.drop_index("ix_prices_lookup_key", table_name="prices")

    op.drop_table("prices")
    op.drop_table("outbox")
    op.drop_index(
        "ix_operations_lease_expires_at",
        table_name="operations",
        postgresql_where=sa.text("NOT finished"),
        sqlite_where=sa.text("NOT finished"),
    )

    op.drop_table("operations")
    op.drop_index("ix_invoices_stripe_subscription_id", table_name="invoices")

    op.drop_table("invoices")
    op.drop_index("ix_idempotency_keys_expires_at", table_name="idempotency_keys")

    op.drop_table("idempotency_keys")
    op.drop_index("ix_events_object_id", table_name="events")
    op.drop_index(
        "ix_events_group_key",
        table_name="events",
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.drop_index(
        "ix_events_available_at",
        table_name="events",
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )

    op.drop_table("events")
    op.drop_index("ix_customers_email", table_name="customers")

    op.drop_table("customers")
    op.drop_table("cursors")
