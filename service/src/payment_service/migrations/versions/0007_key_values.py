"""Note under which values of SECRET_KEY a key is known; the database says when and as whom an audit row was written.

On PostgreSQL API keys are written by functions of the owner's that append the audit row in the same statement. The
application's role may call them and, once `payments database grants --apply` has run, write the table in no other way.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007_key_values"
down_revision = "0006_discarded_events"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 7
oldest_application = 1

COLUMNS = (
    ("digest_value", sa.Text(), "id of the SECRET_KEY value that digest is under"),
    ("former_digest", sa.LargeBinary(), "under the value that it was known by before, or by the second one"),
    ("former_value", sa.Text(), "id of the SECRET_KEY value that former_digest is under"),
    ("mac_value", sa.Text(), "id of the SECRET_KEY value that the key's own MAC is under"),
)

STAMP = """
CREATE FUNCTION stamp_audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seq := nextval(pg_get_serial_sequence('audit_log', 'seq'));
    NEW.created_at := clock_timestamp();
    NEW.database_role := session_user;
    RETURN NEW;
END $$
"""
STAMPED = """
CREATE TRIGGER audit_log_stamped BEFORE INSERT ON audit_log
FOR EACH ROW EXECUTE FUNCTION stamp_audit_row()
"""
AUDIT = """
CREATE FUNCTION api_key_audit(by_actor text, verb text, key api_keys, more jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO audit_log (actor, action, object_type, object_id, details)
    VALUES (by_actor, 'api_key.' || verb, 'api_key', key.id,
            jsonb_build_object('principal', key.principal, 'scope', key.scope, 'prefix', key.prefix) || more)
$$
"""
CREATE = """
CREATE FUNCTION api_key_create(
    by_actor text, new_id text, for_principal text, its_prefix text, its_scope text, is_live boolean,
    ends_at timestamptz, its_digest bytea, its_digest_value text, other_digest bytea, other_value text, its_mac text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE made api_keys;
BEGIN
    INSERT INTO api_keys (id, principal, prefix, scope, livemode, expires_at, created_at,
                          digest, digest_value, former_digest, former_value, mac_value)
    VALUES (new_id, for_principal, its_prefix, its_scope, is_live, ends_at, clock_timestamp(),
            its_digest, its_digest_value, other_digest, other_value, its_mac)
    RETURNING * INTO made;
    PERFORM api_key_audit(by_actor, 'create', made, jsonb_build_object('expires_at', made.expires_at));
END $$
"""
ROTATE = """
CREATE FUNCTION api_key_rotate(
    by_actor text, old_id text, old_ends_at timestamptz, new_id text, its_prefix text, its_digest bytea,
    its_digest_value text, other_digest bytea, other_value text, its_mac text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE old api_keys; made api_keys;
BEGIN
    SELECT * INTO old FROM api_keys WHERE id = old_id AND revoked_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO api_keys (id, principal, prefix, scope, livemode, expires_at, created_at,
                          digest, digest_value, former_digest, former_value, mac_value)
    VALUES (new_id, old.principal, its_prefix, old.scope, old.livemode, old.expires_at, clock_timestamp(),
            its_digest, its_digest_value, other_digest, other_value, its_mac)
    RETURNING * INTO made;
    UPDATE api_keys SET expires_at = LEAST(expires_at, old_ends_at) WHERE id = old_id;
    PERFORM api_key_audit(by_actor, 'rotate', made, jsonb_build_object('replaces', old_id, 'old_ends_at', old_ends_at));
    RETURN true;
END $$
"""
REVOKE = """
CREATE FUNCTION api_key_revoke(by_actor text, key_id text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE ended api_keys;
BEGIN
    UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = key_id AND revoked_at IS NULL RETURNING * INTO ended;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM api_key_audit(by_actor, 'revoke', ended, '{}');
    RETURN true;
END $$
"""
USED = """
CREATE FUNCTION api_key_used(key_id text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE api_keys SET last_used_at = clock_timestamp() WHERE id = key_id
$$
"""
REHASH = """
CREATE FUNCTION api_key_rehash(
    by_actor text, key_id text, known_digest bytea, its_digest bytea, its_digest_value text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE old api_keys; made api_keys;
BEGIN
    SELECT * INTO old FROM api_keys WHERE id = key_id AND known_digest IN (digest, former_digest) FOR UPDATE;
    IF NOT FOUND OR its_digest_value IN (old.digest_value, coalesce(old.former_value, '')) THEN
        RETURN false;
    END IF;
    UPDATE api_keys SET
        digest = its_digest, digest_value = its_digest_value, former_digest = known_digest,
        former_value = CASE WHEN known_digest = old.digest THEN old.digest_value ELSE old.former_value END
    WHERE id = key_id RETURNING * INTO made;
    PERFORM api_key_audit(by_actor, 'rehash', made,
                          jsonb_build_object('secret_key', its_digest_value, 'former_secret_key', made.former_value));
    RETURN true;
END $$
"""
FUNCTIONS = (STAMP, STAMPED, AUDIT, CREATE, ROTATE, REVOKE, USED, REHASH)
PIN = """
DO $$
DECLARE name text; grantee name;
BEGIN
    FOREACH name IN ARRAY ARRAY['api_key_create', 'api_key_rotate', 'api_key_revoke', 'api_key_used', 'api_key_rehash',
                                'api_key_audit', 'stamp_audit_row'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %I FROM PUBLIC', name);
    END LOOP;
    FOR grantee IN
        SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_class, aclexplode(relacl) a
        WHERE oid = 'api_keys'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, relowner)
    LOOP
        FOREACH name IN ARRAY ARRAY['api_key_create', 'api_key_rotate', 'api_key_revoke', 'api_key_used',
                                    'api_key_rehash'] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO %I', name, grantee);
        END LOOP;
    END LOOP;
END $$
"""
"""No function trusts its caller's search_path (postgresql.org/docs/current/sql-createfunction.html, "Writing SECURITY
DEFINER Functions Safely"); roles that write API keys today may call them at once."""


def upgrade() -> None:
    """Apply."""
    for name, kind, comment in COLUMNS:
        op.add_column("api_keys", sa.Column(name, kind, nullable=True, comment=comment))
    op.add_column(
        "audit_log",
        sa.Column("database_role", sa.Text(), nullable=True, comment="session_user; null where there are no roles"),
    )
    if op.get_context().dialect.name == "postgresql":
        for statement in (*FUNCTIONS, PIN):
            op.execute(statement)


def downgrade() -> None:
    """Take back."""
    if op.get_context().dialect.name == "postgresql":
        for name in ("create", "rotate", "revoke", "used", "rehash", "audit"):
            op.execute(f"DROP FUNCTION api_key_{name}")
        op.execute("DROP TRIGGER audit_log_stamped ON audit_log")
        op.execute("DROP FUNCTION stamp_audit_row")
    op.drop_column("audit_log", "database_role")
    for name, _, _ in reversed(COLUMNS):
        op.drop_column("api_keys", name)
