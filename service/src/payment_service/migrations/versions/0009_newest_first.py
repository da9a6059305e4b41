"""Indexes for lists that are newest first, built without blocking writers."""

from alembic import op

revision = "0009_newest_first"
down_revision = "0008_former_digests"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 9
oldest_application = 1

INDEXES = (("ix_customers_created_at", "customers"), ("ix_subscriptions_created_at", "subscriptions"))


def upgrade() -> None:
    """Apply; an invalid index that an interrupted run left is built anew."""
    with op.get_context().autocommit_block():
        for name, table in INDEXES:
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, ["livemode", "created_at", "id"], postgresql_concurrently=True)


def downgrade() -> None:
    """Take back."""
    for name, table in reversed(INDEXES):
        op.drop_index(name, table_name=table)
