"""What is sent again to webhook endpoints: replays with their places, and the deliveries that belong to one.

What belongs to a replay is found by an index that blocks no writer; it is built before everything else but its column,
for it commits by itself.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_webhook_replays"
down_revision = "0022_webhook_endpoints"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 23
oldest_application = 1
mysql = ()

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
INDEX = "ix_webhook_deliveries_replay_id"


def add_columns() -> None:
    """Add what deliveries and endpoints say of replays."""
    again = True if op.get_context().dialect.name == "postgresql" else None
    for name, comment in (
        ("replay_id", "of the replay that sends it again, after what is new; null: it is new"),
        ("webhook_id", "another one than the event's, which a replay was asked for"),
    ):
        column = sa.Column(name, sa.Text(), nullable=True, comment=comment)
        op.add_column("webhook_deliveries", column, if_not_exists=again)
    running = "of the replay under way; null: there is none"
    column = sa.Column("replay_id", sa.Text(), nullable=True, comment=running)
    op.add_column("webhook_endpoints", column, if_not_exists=again)


def create_replays() -> None:
    """Create the table of replays."""
    op.create_table(
        "webhook_replays",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("asked_since", MOMENT, nullable=False),
        sa.Column("asked_until", MOMENT, nullable=True, comment="null: until it was asked for"),
        sa.Column(
            "event_types", JSON, nullable=False, comment="as invoice.paid or invoice.*; empty: all of the endpoint's"
        ),
        sa.Column(
            "fresh_ids", sa.Boolean(), nullable=False, comment="whether deliveries get a webhook-id of their own"
        ),
        sa.Column(
            "events", sa.BigInteger(), nullable=False, comment="as many at most, as counted when it was asked for"
        ),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column(
            "reached", sa.BigInteger(), nullable=False, comment="sequence of the last event that was looked at for it"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="running, done or canceled"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_replays")),
    )
    op.create_index("ix_webhook_replays_created_at", "webhook_replays", ["endpoint_id", "created_at", "id"])


def upgrade() -> None:
    """Apply; what an interrupted run left is taken over, an invalid index of it built anew."""
    add_columns()
    belongs = sa.text("replay_id IS NOT NULL")
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "webhook_deliveries", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "webhook_deliveries",
            ["replay_id", "state"],
            postgresql_concurrently=True,
            postgresql_where=belongs,
            sqlite_where=belongs,
        )
    create_replays()


def downgrade() -> None:
    """Take back; what a replay had waiting waits as if it were new."""
    op.drop_table("webhook_replays")
    op.drop_index(INDEX, table_name="webhook_deliveries")
    op.drop_column("webhook_deliveries", "webhook_id")
    op.drop_column("webhook_deliveries", "replay_id")
    op.drop_column("webhook_endpoints", "replay_id")
