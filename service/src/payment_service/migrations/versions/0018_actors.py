"""Let the database say who wrote an audit row, and check what the application says about who asked.

`actor` becomes the database's login. What the application says stands in `on_behalf_of`, where the database lets in
nothing but the forms of `storage/audit_log.py`: `api:<principal>` only while a key of that principal is usable, and
`ended:<principal>` once all of them have ended; a principal that no key has is refused. The version before writes what
it says into `actor`, which is taken for `on_behalf_of`. Rows from before this migration stay as they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018_actors"
down_revision = "0017_joined"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 18
oldest_application = 1

COMMENT = "who asked, as the application says; null: actor says it"
CHECK = """
CREATE FUNCTION audit_on_behalf_of(stated text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    form text := split_part(stated, ':', 1);
    named text := substr(stated, length(form) + 2);
    lasting boolean;
BEGIN
    IF stated = 'anonymous' OR named <> '' AND form IN ('cli', 'worker') THEN
        RETURN stated;
    END IF;
    IF form = 'migration' AND pg_has_role(session_user, (SELECT relowner FROM pg_class
                                                         WHERE oid = 'audit_log'::regclass), 'MEMBER') THEN
        RETURN stated;
    END IF;
    IF form IN ('api', 'ended') THEN
        SELECT bool_or(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp()))
        INTO lasting FROM api_keys WHERE principal = named;
        IF lasting IS NOT NULL THEN
            RETURN CASE WHEN lasting THEN 'api:' ELSE 'ended:' END || named;
        END IF;
        IF stated = 'api:anonymous' THEN
            RETURN 'anonymous';
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_log: nobody is known as %', stated USING ERRCODE = 'insufficient_privilege';
END $$
"""
STAMP = """
CREATE OR REPLACE FUNCTION stamp_audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    NEW.seq := nextval(pg_get_serial_sequence('audit_log', 'seq'));
    NEW.created_at := clock_timestamp();
    NEW.database_role := session_user;
    NEW.on_behalf_of := audit_on_behalf_of(coalesce(NEW.on_behalf_of, NEW.actor, ''));
    NEW.actor := 'database:' || session_user;
    RETURN NEW;
END $$
"""
STAMP_BEFORE = """
CREATE OR REPLACE FUNCTION stamp_audit_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seq := nextval(pg_get_serial_sequence('audit_log', 'seq'));
    NEW.created_at := clock_timestamp();
    NEW.database_role := session_user;
    RETURN NEW;
END $$
"""
REHASH = """
CREATE OR REPLACE FUNCTION api_key_rehash(
    by_actor text, key_id text, known_digest bytea, its_digest bytea, its_digest_value text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE old api_keys; made api_keys;
BEGIN
    SELECT * INTO old FROM api_keys WHERE id = key_id AND known_digest IN (digest, former_digest) FOR UPDATE;
    IF NOT FOUND OR its_digest_value IN (old.digest_value, coalesce(old.former_value, '')) THEN
        RETURN false;
    END IF;
    {check}
    UPDATE api_keys SET
        digest = its_digest, digest_value = its_digest_value, former_digest = known_digest,
        former_value = CASE WHEN known_digest = old.digest THEN old.digest_value ELSE old.former_value END
    WHERE id = key_id RETURNING * INTO made;
    PERFORM api_key_audit(by_actor, 'rehash', made,
                          jsonb_build_object('secret_key', its_digest_value, 'former_secret_key', made.former_value));
    RETURN true;
END $$
"""
ITS_HOLDER = """
    IF by_actor IS DISTINCT FROM 'api:' || old.principal THEN
        RAISE EXCEPTION 'api_keys: % does not hold the key %', by_actor, key_id
        USING ERRCODE = 'insufficient_privilege';
    END IF;
"""
PIN = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{names}] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
    END LOOP;
END $$
"""
"""Making a function anew keeps who may call it and drops what was set for it."""
POSTGRESQL = (
    CHECK,
    STAMP,
    REHASH.format(check=ITS_HOLDER),
    PIN.format(names="'audit_on_behalf_of', 'stamp_audit_row', 'api_key_rehash'"),
    "REVOKE ALL ON FUNCTION audit_on_behalf_of FROM PUBLIC",
)
TOLD_BEFORE = "UPDATE audit_log SET actor = on_behalf_of WHERE on_behalf_of IS NOT NULL"
POSTGRESQL_BEFORE = (
    "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only",
    TOLD_BEFORE,
    "ALTER TABLE audit_log ENABLE TRIGGER audit_log_append_only",
    STAMP_BEFORE,
    REHASH.format(check=""),
    PIN.format(names="'stamp_audit_row', 'api_key_rehash'"),
    "DROP FUNCTION audit_on_behalf_of",
)
STATED = "coalesce(NEW.on_behalf_of, NEW.actor)"
SQLITE = f"""
CREATE TRIGGER audit_log_on_behalf_of BEFORE INSERT ON audit_log
WHEN {STATED} NOT IN ('anonymous', 'api:anonymous') AND {STATED} NOT GLOB 'cli:?*'
    AND {STATED} NOT GLOB 'worker:?*' AND {STATED} NOT GLOB 'migration:?*'
    AND NOT EXISTS (SELECT 1 FROM api_keys WHERE {STATED} IN ('api:' || principal, 'ended:' || principal))
BEGIN SELECT RAISE(ABORT, 'audit_log: nobody is known as that'); END
"""
SQLITE_BEFORE = (
    "DROP TRIGGER audit_log_on_behalf_of",
    "DROP TRIGGER audit_log_no_update",
    TOLD_BEFORE,
    """
    CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
    BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.add_column("audit_log", sa.Column("on_behalf_of", sa.Text(), nullable=True, comment=COMMENT))
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in POSTGRESQL if postgresql else (SQLITE,):
        op.execute(statement)


def downgrade() -> None:
    """Take back; who asked goes to where the version before has it."""
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in POSTGRESQL_BEFORE if postgresql else SQLITE_BEFORE:
        op.execute(statement)
    op.drop_column("audit_log", "on_behalf_of")
