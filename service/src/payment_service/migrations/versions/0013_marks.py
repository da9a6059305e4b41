"""Name each operation at Stripe by the caller's key, so that a retry after a restore is known there."""

import sqlalchemy as sa
from alembic import op

revision = "0013_marks"
down_revision = "0012_addresses"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 13
oldest_application = 1

COMMENT = "names it at Stripe; null in rows of earlier versions: the id"


def upgrade() -> None:
    """Apply."""
    op.add_column("operations", sa.Column("mark", sa.Text(), nullable=True, comment=COMMENT))


def downgrade() -> None:
    """Take back."""
    op.drop_column("operations", "mark")
