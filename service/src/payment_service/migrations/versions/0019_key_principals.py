"""Find the keys of a principal, which each audit row asks for, by an index that blocks no writer."""

from alembic import op

revision = "0019_key_principals"
down_revision = "0018_actors"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 19
oldest_application = 1


def upgrade() -> None:
    """Apply; an invalid index that an interrupted run left is built anew."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_api_keys_principal", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_api_keys_principal", "api_keys", ["principal"], postgresql_concurrently=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_api_keys_principal", table_name="api_keys")
