"""API keys and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_access"
down_revision = "0001_foundation"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 2
oldest_application = 1

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False, comment="who; the same after a rotation"),
        sa.Column("prefix", sa.Text(), nullable=False, comment="the key's beginning, to recognise it"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="HMAC-SHA256 under SECRET_KEY"),
        sa.Column("scope", sa.Text(), nullable=False, comment="read, write or admin"),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_table(
        "audit_log",
        sa.Column("seq", BIG_SERIAL, autoincrement=True, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("audit_log")
    op.drop_table("api_keys")
