"""Give changes of state their numbers in a table of their own, and let a key read nothing but events.

What belongs to an object is found in the outbox by an index that blocks no writer; it is built before everything else,
for it commits by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020_feed"
down_revision = "0019_key_principals"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 20
oldest_application = 1
mysql = ("ALTER TABLE outbox MODIFY object_id VARCHAR(255) NOT NULL",)  # as wide as an index there takes

INDEX = "ix_outbox_object_id"
SCOPES = "ck_api_keys_scope"


def hold_scopes(scopes: tuple[str, ...]) -> None:
    """Replace the scopes that there are; SQLite makes the table anew, and looks at its triggers only afterwards."""
    sqlite = op.get_context().dialect.name == "sqlite"
    if sqlite:
        op.execute("PRAGMA legacy_alter_table=ON")
    with op.batch_alter_table("api_keys") as batch:
        batch.drop_constraint(SCOPES, type_="check")
        batch.create_check_constraint(SCOPES, f"scope IN ({', '.join(repr(scope) for scope in scopes)})")
        comment = f"{', '.join(scopes[:-1])} or {scopes[-1]}"
        batch.alter_column("scope", existing_type=sa.Text(), existing_nullable=False, comment=comment)
    if sqlite:
        op.execute("PRAGMA legacy_alter_table=OFF")


def upgrade() -> None:
    """Apply; an invalid index that an interrupted run left is built anew."""
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "outbox", if_exists=True, postgresql_concurrently=True)
        op.create_index(INDEX, "outbox", ["object_id", "seq"], postgresql_concurrently=True)
    op.create_table(
        "feed",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="1, 2, 3 … without a gap"),
        sa.Column("outbox_seq", sa.BigInteger(), nullable=False, comment="of the row that it is the number of"),
        sa.PrimaryKeyConstraint("sequence", name="pk_feed"),
        sa.UniqueConstraint("outbox_seq", name="uq_feed_outbox_seq"),
    )
    hold_scopes(("events:read", "read", "write", "admin"))


def downgrade() -> None:
    """Take back; keys that could read events alone cannot be kept."""
    op.execute("DELETE FROM api_keys WHERE scope = 'events:read'")
    hold_scopes(("read", "write", "admin"))
    op.drop_table("feed")
    op.drop_index(INDEX, table_name="outbox")
