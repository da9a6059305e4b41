"""Part the personal fields from the rows of the outbox that were there before, a thousand in each transaction.

Every statement may be run again: an interrupted run goes on where it was. Operations need no such step, for the worker
parts them, whichever version wrote them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016_back_fill"
down_revision = "0015_personal_data"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 16
oldest_application = 1

ROWS = 1000
INDEXES = (
    ("ix_operations_personal_id", "operations", ["id"], "finished AND personal_id IS NULL"),
    ("ix_customers_erased_at", "customers", ["updated_at", "id"], "deleted AND erased_at IS NULL"),
)
RANGE = sa.text("SELECT max(seq) FROM (SELECT seq FROM outbox WHERE seq > :after ORDER BY seq LIMIT :most) AS part")
PART = "UPDATE outbox SET personal_id = NULL WHERE personal_id IS NULL AND seq > :after AND seq <= :until"
"""The triggers of migration 15 do the work."""


def upgrade() -> None:
    """Apply."""
    context = op.get_context()
    with context.autocommit_block():
        for name, table, columns, condition in INDEXES:
            where = sa.text(condition)
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name, table, columns, postgresql_concurrently=True, postgresql_where=where, sqlite_where=where
            )
        if context.as_sql:
            op.execute(f"-- then rows of the outbox are parted, {ROWS} in each transaction")
        else:
            back_fill(op.get_bind())


def back_fill(connection: sa.Connection) -> None:
    """Part every row that is not parted yet."""
    after = -(2**63)
    while (until := connection.execute(RANGE, {"after": after, "most": ROWS}).scalar_one()) is not None:
        connection.execute(sa.text(PART), {"after": after, "until": until})
        after = until


def downgrade() -> None:
    """Take back: what was parted stays so."""
    for name, table, _, _ in INDEXES:
        op.drop_index(name, table_name=table)
