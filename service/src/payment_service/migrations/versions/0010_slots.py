"""Loosen what judged Stripe's facts: no quantity, pauses, metered prices; the product that was ordered here.

The slots themselves need no rows of their own: they follow from the items of each subscription, which are there since
0004, and from the index that the version before uses too. Two live rows that share a product stay as they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_slots"
down_revision = "0009_newest_first"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 10
oldest_application = 1

COLUMNS = (
    ("ordered_product_id", sa.Text(), "the product that was ordered here, whatever Stripe shows now"),
    ("pause_behavior", sa.Text(), "of invoices while their collection is paused"),
    ("pause_resumes_at", sa.DateTime(timezone=True), None),
    ("paused_reason", sa.Text(), "why the status is paused"),
)
EXCLUSIVE = "holds the slot of customer and product_id in the index"
EXCLUSIVE_BEFORE = "holds the one place of customer and product"
QUANTITY = "null: a metered price has none"


def upgrade() -> None:
    """Apply; which product was ordered is filled in from the operation when a row is written."""
    for name, kind, comment in COLUMNS:
        op.add_column("subscriptions", sa.Column(name, kind, nullable=True, comment=comment))
    with op.batch_alter_table("subscriptions") as batch:
        batch.alter_column("quantity", existing_type=sa.BigInteger(), nullable=True, comment=QUANTITY)
    op.add_column(
        "prices",
        sa.Column("metered", sa.Boolean(), nullable=False, server_default=sa.false(), comment="it takes no quantity"),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"COMMENT ON COLUMN subscriptions.exclusive IS '{EXCLUSIVE}'")


def downgrade() -> None:
    """Take back."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"COMMENT ON COLUMN subscriptions.exclusive IS '{EXCLUSIVE_BEFORE}'")
    op.drop_column("prices", "metered")
    op.execute("UPDATE subscriptions SET quantity = 1 WHERE quantity IS NULL")
    with op.batch_alter_table("subscriptions") as batch:
        batch.alter_column("quantity", existing_type=sa.BigInteger(), nullable=False, comment=None)
    for name, _, _ in reversed(COLUMNS):
        op.drop_column("subscriptions", name)
