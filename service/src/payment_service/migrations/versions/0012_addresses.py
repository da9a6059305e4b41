"""Keep the one form of an address, by which it is compared, beside the address of every customer.

`payments import` fills it in; until that is complete, rows without it are found by the address as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012_addresses"
down_revision = "0011_key_scopes"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 12
oldest_application = 1

INDEX = "ix_customers_address_key"
KEY = "the address in the one form by which it is compared"
CLAIM = "address_key of one made by address alone: two requests make one"
CLAIM_BEFORE = "lower-case address of a customer found or created by address"


def upgrade() -> None:
    """Apply; what an interrupted run left is taken over, an invalid index of it built anew."""
    postgresql = op.get_context().dialect.name == "postgresql"
    column = sa.Column("address_key", sa.Text(), nullable=True, comment=KEY)
    op.add_column("customers", column, if_not_exists=True if postgresql else None)
    if postgresql:
        op.execute(f"COMMENT ON COLUMN customers.email_key IS '{CLAIM}'")
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, if_exists=True, postgresql_concurrently=True)
        op.create_index(INDEX, "customers", ["livemode", "address_key"], postgresql_concurrently=True)


def downgrade() -> None:
    """Take back."""
    op.drop_index(INDEX, table_name="customers")
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"COMMENT ON COLUMN customers.email_key IS '{CLAIM_BEFORE}'")
    op.drop_column("customers", "address_key")
