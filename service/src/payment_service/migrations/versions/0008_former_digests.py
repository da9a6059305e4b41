"""Find a key by its former digest too, by an index that blocks no writer."""

from alembic import op

revision = "0008_former_digests"
down_revision = "0007_key_values"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 8
oldest_application = 1


def upgrade() -> None:
    """Apply; an invalid index that an interrupted run left is built anew."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_api_keys_former_digest", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_api_keys_former_digest", "api_keys", ["former_digest"], postgresql_concurrently=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_api_keys_former_digest", table_name="api_keys")
