"""Webhook endpoints and what is sent to them, and a scope for those who manage them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022_webhook_endpoints"
down_revision = "0021_payment_methods"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 22
oldest_application = 1
mysql = ()

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
SCOPES = "ck_api_keys_scope"


def hold_scopes(scopes: tuple[str, ...]) -> None:
    """Replace the scopes that there are; SQLite makes the table anew, and looks at its triggers only afterwards."""
    sqlite = op.get_context().dialect.name == "sqlite"
    if sqlite:
        op.execute("PRAGMA legacy_alter_table=ON")
    with op.batch_alter_table("api_keys") as batch:
        batch.drop_constraint(SCOPES, type_="check")
        batch.create_check_constraint(SCOPES, f"scope IN ({', '.join(repr(scope) for scope in scopes)})")
        comment = f"{', '.join(scopes[:-1])} or {scopes[-1]}"
        batch.alter_column("scope", existing_type=sa.Text(), existing_nullable=False, comment=comment)
    if sqlite:
        op.execute("PRAGMA legacy_alter_table=OFF")


def create_endpoints() -> None:
    """Create the table of endpoints."""
    of_value = "id of the value of WEBHOOK_SIGNING_KEY it is derived from"
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("event_types", JSON, nullable=False, comment="as invoice.paid or invoice.*; empty: all"),
        sa.Column("customer_metadata", JSON, nullable=False, comment="what the customer of an event must have"),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True, comment="asked, gone (410) or failing (for five days)"),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.Column(
            "secret_salt", sa.Text(), nullable=False, comment="what its secret is derived with; no secret itself"
        ),
        sa.Column("secret_value", sa.Text(), nullable=False, comment=of_value),
        sa.Column(
            "former_salt", sa.Text(), nullable=True, comment="of the secret before, which signs too until former_until"
        ),
        sa.Column("former_value", sa.Text(), nullable=True),
        sa.Column("former_until", MOMENT, nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column(
            "reached", sa.BigInteger(), nullable=False, comment="sequence of the last event that was looked at for it"
        ),
        sa.Column("failing_since", MOMENT, nullable=True, comment="first of the failures that no success came after"),
        sa.Column(
            "failures",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="as many have failed in a row",
        ),
        sa.Column("resume_at", MOMENT, nullable=False, comment="nothing is sent before: it fails, or too much waits"),
        sa.Column(
            "due_at", MOMENT, nullable=True, comment="when the next of its deliveries is due; null: none is pending"
        ),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_index("ix_webhook_endpoints_created_at", "webhook_endpoints", ["livemode", "created_at", "id"])


def create_deliveries() -> None:
    """Create the table of what is sent."""
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column(
            "sequence", sa.BigInteger(), nullable=True, comment="of the event; null: a test, which is of no feed"
        ),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, delivered, failed or skipped"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False, comment="of the next attempt"),
        sa.Column("last_status", sa.Integer(), nullable=True, comment="of the last answer; null: there was none"),
        sa.Column("last_error", sa.Text(), nullable=True, comment="why the last attempt failed"),
        sa.Column("last_ms", sa.Integer(), nullable=True, comment="how long the last attempt took"),
        sa.Column("attempted_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("endpoint_id", "sequence", name=op.f("uq_webhook_deliveries_endpoint_id_sequence")),
    )
    for name, columns, condition in (
        ("pending", ["endpoint_id", "object_id", "sequence"], "state = 'pending'"),
        ("created_at", ["endpoint_id", "created_at", "id"], None),
        ("settled_at", ["settled_at"], "settled_at IS NOT NULL"),
    ):
        only = None if condition is None else sa.text(condition)
        op.create_index(
            f"ix_webhook_deliveries_{name}",
            "webhook_deliveries",
            columns,
            postgresql_where=only,
            sqlite_where=only,
        )


def upgrade() -> None:
    """Apply."""
    create_endpoints()
    create_deliveries()
    hold_scopes(("events:read", "read", "endpoints:write", "write", "admin"))


def downgrade() -> None:
    """Take back; keys that could manage endpoints alone cannot be kept."""
    op.execute("DELETE FROM api_keys WHERE scope = 'endpoints:write'")
    hold_scopes(("events:read", "read", "write", "admin"))
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")
