"""Why a person gave up a dead event."""

import sqlalchemy as sa
from alembic import op

revision = "0006_discarded_events"
down_revision = "0005_inbox_indexes"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 6
oldest_application = 1


def upgrade() -> None:
    """Apply."""
    op.add_column("events", sa.Column("discard_reason", sa.Text(), nullable=True, comment="why a person gave it up"))
    if op.get_context().dialect.name == "postgresql":
        op.execute("COMMENT ON COLUMN events.state IS 'pending, applied, ignored, dead or discarded'")
        op.execute("COMMENT ON COLUMN events.last_error IS 'why it failed, or is ignored'")


def downgrade() -> None:
    """Take back."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("COMMENT ON COLUMN events.state IS 'pending, applied, ignored or dead'")
        op.execute("COMMENT ON COLUMN events.last_error IS NULL")
    op.drop_column("events", "discard_reason")
