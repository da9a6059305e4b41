"""Hold API keys to the three scopes, whoever writes them; a key with any other, which never worked, is revoked."""

from alembic import op

revision = "0011_key_scopes"
down_revision = "0010_slots"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 11
oldest_application = 1

KNOWN = "scope IN ('read', 'write', 'admin')"
NAME = "ck_api_keys_scope"
AUDIT = f"""
INSERT INTO audit_log (actor, action, object_type, object_id, details, created_at)
SELECT 'migration:{revision}', 'api_key.revoke', 'api_key', id,
       %s('principal', principal, 'scope', scope, 'prefix', prefix), CURRENT_TIMESTAMP
FROM api_keys WHERE NOT {KNOWN}
"""
REVOKE = f"""
UPDATE api_keys SET scope = 'read', revoked_at = coalesce(revoked_at, CURRENT_TIMESTAMP) WHERE NOT {KNOWN}
"""


def upgrade() -> None:
    """Apply."""
    postgresql = op.get_context().dialect.name == "postgresql"
    op.execute(AUDIT % ("jsonb_build_object" if postgresql else "json_object"))
    op.execute(REVOKE)
    with op.batch_alter_table("api_keys") as batch:
        batch.create_check_constraint(NAME, KNOWN)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("api_keys") as batch:
        batch.drop_constraint(NAME, type_="check")
