"""Indexes for removing old events and for watching paid invoices, built without blocking writers."""

import sqlalchemy as sa
from alembic import op

revision = "0005_inbox_indexes"
down_revision = "0004_payment_objects"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 5
oldest_application = 1

SETTLED = sa.text("state <> 'pending'")


def upgrade() -> None:
    """Apply; an invalid index that an interrupted run left is built anew."""
    with op.get_context().autocommit_block():
        for name in ("ix_events_settled_at", "ix_invoices_updated_at"):
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "ix_events_settled_at",
            "events",
            ["settled_at"],
            unique=False,
            postgresql_where=SETTLED,
            sqlite_where=SETTLED,
            postgresql_concurrently=True,
        )
        op.create_index(
            "ix_invoices_updated_at", "invoices", ["updated_at"], unique=False, postgresql_concurrently=True
        )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_invoices_updated_at", table_name="invoices")
    op.drop_index("ix_events_settled_at", table_name="events")
