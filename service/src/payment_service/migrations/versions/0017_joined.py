"""Note when a subscription got each of its products and a customer its address; find what is about a customer.

A pair of subscriptions to one product may come to be long after both were made: by a plan switch, a further item, a
changed address. Rows that are there already count as having had what they have from their beginning. Erasure finds
invoices and finished operations of a customer by an index.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017_joined"
down_revision = "0016_back_fill"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 17
oldest_application = 1

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
COLUMNS = (
    ("subscriptions", "joined_at", sa.DateTime(timezone=True), "when it was seen first, or got a product, or began"),
    ("customers", "address_since", sa.DateTime(timezone=True), "when it got its address; null: it was made with it"),
)
PRODUCTS = "when it got each of its products, in seconds; null: it was made with it"
UNPARTED = "finished AND personal_id IS NULL"
INDEXES = (
    ("ix_subscriptions_joined_at", "subscriptions", ["livemode", "joined_at"], "joined_at IS NOT NULL"),
    ("ix_customers_address_since", "customers", ["livemode", "address_since"], "address_since IS NOT NULL"),
    ("ix_invoices_stripe_customer_id", "invoices", ["stripe_customer_id"], None),
)
OF_POSTGRESQL = (
    ("ix_operations_customer_id", "operations", [sa.text("(facts ->> 'customer_id')")], UNPARTED),
    ("ix_operations_subscription_id", "operations", [sa.text("(facts ->> 'stripe_subscription_id')")], UNPARTED),
)
"""SQLite, which is for development, holds few operations."""


def indexes() -> tuple[tuple[str, str, list[Any], str | None], ...]:
    """Return those of the present dialect."""
    return (*INDEXES, *OF_POSTGRESQL) if op.get_context().dialect.name == "postgresql" else INDEXES


def upgrade() -> None:
    """Apply; what an interrupted run left is taken over, an invalid index of it built anew."""
    again = True if op.get_context().dialect.name == "postgresql" else None
    products = sa.Column("joined", JSON, nullable=False, server_default=sa.text("'{}'"), comment=PRODUCTS)
    op.add_column("subscriptions", products, if_not_exists=again)
    for table, name, kind, comment in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True, comment=comment), if_not_exists=again)
    with op.get_context().autocommit_block():
        for name, table, columns, condition in indexes():
            where = None if condition is None else sa.text(condition)
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name, table, columns, postgresql_concurrently=True, postgresql_where=where, sqlite_where=where
            )


def downgrade() -> None:
    """Take back."""
    for name, table, _, _ in reversed(indexes()):
        op.drop_index(name, table_name=table)
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)
    op.drop_column("subscriptions", "joined")
