"""Payment intents, setup intents, charges, refunds, disputes, checkout sessions; items of subscriptions."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_payment_objects"
down_revision = "0003_append_only_audit"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 4
oldest_application = 1

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def text(name: str) -> "sa.Column[Any]":
    """Describe a text that may be missing."""
    return sa.Column(name, sa.Text(), nullable=True)


def amount(name: str, *, nullable: bool = False) -> "sa.Column[Any]":
    """Describe an amount in minor units."""
    return sa.Column(name, sa.BigInteger(), nullable=nullable, comment="minor units")


def flag(name: str) -> "sa.Column[Any]":
    """Describe a yes or no."""
    return sa.Column(name, sa.Boolean(), nullable=False)


def moment(name: str) -> "sa.Column[Any]":
    """Describe a moment that may be missing."""
    return sa.Column(name, MOMENT, nullable=True)


def create_mirror(name: str, *columns: "sa.Column[Any]", indexed: tuple[str, ...]) -> None:
    """Create a table with the columns that every mirrored object has."""
    op.create_table(
        name,
        sa.Column("id", sa.Text(), nullable=False, comment="Stripe's id"),
        text("status"),
        text("currency"),
        *columns,
        sa.Column("metadata", JSON, nullable=False),
        flag("livemode"),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    for column in indexed:
        op.create_index(f"ix_{name}_{column}", name, [column], unique=False)


def create_mirrors() -> None:
    """Create the new tables."""
    create_mirror(
        "invoice_payments",
        text("invoice_id"),
        text("payment_intent_id"),
        text("charge_id"),
        amount("amount_requested", nullable=True),
        amount("amount_paid", nullable=True),
        flag("is_default"),
        indexed=("invoice_id",),
    )
    create_mirror(
        "payment_intents",
        text("stripe_customer_id"),
        amount("amount"),
        amount("amount_received"),
        text("payment_method_id"),
        text("latest_charge_id"),
        text("cancellation_reason"),
        text("last_error_code"),
        indexed=("stripe_customer_id",),
    )
    create_mirror(
        "setup_intents",
        text("stripe_customer_id"),
        text("payment_method_id"),
        text("usage"),
        text("cancellation_reason"),
        text("last_error_code"),
        indexed=("stripe_customer_id",),
    )
    create_mirror(
        "charges",
        text("stripe_customer_id"),
        text("payment_intent_id"),
        amount("amount"),
        amount("amount_captured"),
        amount("amount_refunded"),
        *map(flag, ("paid", "captured", "refunded", "disputed")),
        text("failure_code"),
        indexed=("stripe_customer_id", "payment_intent_id"),
    )
    create_mirror(
        "refunds",
        text("charge_id"),
        text("payment_intent_id"),
        amount("amount"),
        text("reason"),
        text("failure_reason"),
        indexed=("charge_id",),
    )
    create_mirror(
        "disputes",
        text("charge_id"),
        text("payment_intent_id"),
        amount("amount"),
        text("reason"),
        moment("evidence_due_by"),
        indexed=("charge_id",),
    )
    create_mirror(
        "checkout_sessions",
        text("stripe_customer_id"),
        *map(text, ("mode", "payment_status", "payment_intent_id", "setup_intent_id", "stripe_subscription_id")),
        text("invoice_id"),
        text("client_reference_id"),
        amount("amount_total", nullable=True),
        moment("expires_at"),
        indexed=("stripe_customer_id",),
    )


def upgrade() -> None:
    """Apply."""
    create_mirrors()
    no = sa.text("false")
    op.add_column("events", sa.Column("fetch", sa.Boolean(), server_default=no, nullable=False))
    op.add_column("invoices", text("number"))
    op.add_column("invoices", amount("total", nullable=True))
    op.add_column("invoices", amount("amount_remaining", nullable=True))
    op.add_column("subscriptions", sa.Column("items", JSON, server_default=sa.text("'[]'"), nullable=False))


def downgrade() -> None:
    """Take back."""
    for table, column in (
        ("subscriptions", "items"),
        *(("invoices", name) for name in ("amount_remaining", "total", "number")),
        ("events", "fetch"),
    ):
        op.drop_column(table, column)
    for name in (
        "checkout_sessions",
        "disputes",
        "refunds",
        "charges",
        "setup_intents",
        "payment_intents",
        "invoice_payments",
    ):
        op.drop_table(name)
