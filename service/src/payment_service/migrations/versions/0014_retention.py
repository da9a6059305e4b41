"""Let what is past its retention be removed from the audit log and the outbox, and nothing else.

The audit log still refuses UPDATE and TRUNCATE, and now lets rows go that are older than 90 days, for the owner too. On
PostgreSQL the application's role has no right to DELETE in either table: it calls functions of the owner's, which
remove the oldest rows only, clamp the moment to a bound of their own (90 and 7 days ago, by the database's clock), and
append to the audit log what they removed from it.
"""

from alembic import op

revision = "0014_retention"
down_revision = "0013_marks"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 14
oldest_application = 1

REFUSE_REMOVAL = """
CREATE FUNCTION refuse_audit_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.created_at > clock_timestamp() - interval '90 days' THEN
        RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$
"""
TRIGGERS = (
    "DROP TRIGGER audit_log_append_only ON audit_log",
    """
    CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
    """
    CREATE TRIGGER audit_log_retention BEFORE DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_removal()
    """,
)
TRIGGERS_BEFORE = (
    "DROP TRIGGER audit_log_retention ON audit_log",
    "DROP TRIGGER audit_log_append_only ON audit_log",
    """
    CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)
OLD_AUDIT = """
CREATE FUNCTION remove_old_audit_rows(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    bound timestamptz := least(older_than, clock_timestamp() - interval '90 days');
    removed integer;
BEGIN
    DELETE FROM audit_log WHERE seq IN (
        SELECT seq FROM (SELECT seq, created_at FROM audit_log ORDER BY seq LIMIT at_most) AS oldest
        WHERE created_at < bound
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed > 0 THEN
        INSERT INTO audit_log (actor, action, object_type, object_id, details)
        VALUES ('worker:retention', 'audit_log.remove', 'audit_log', 'audit_log',
                jsonb_build_object('older_than', bound, 'rows', removed));
    END IF;
    RETURN removed;
END $$
"""
OLD_OUTBOX = """
CREATE FUNCTION remove_old_outbox_rows(older_than timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    bound timestamptz := least(older_than, clock_timestamp() - interval '7 days');
    removed integer;
BEGIN
    DELETE FROM outbox WHERE seq IN (
        SELECT seq FROM (SELECT seq, created_at FROM outbox ORDER BY seq LIMIT at_most) AS oldest
        WHERE created_at < bound
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$
"""
PIN = """
DO $$
DECLARE name text; grantee name;
BEGIN
    FOREACH name IN ARRAY ARRAY['remove_old_audit_rows', 'remove_old_outbox_rows', 'refuse_audit_removal'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %I FROM PUBLIC', name);
    END LOOP;
    FOR grantee IN
        SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_class, aclexplode(relacl) a
        WHERE oid = 'outbox'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, relowner)
    LOOP
        FOREACH name IN ARRAY ARRAY['remove_old_audit_rows', 'remove_old_outbox_rows'] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO %I', name, grantee);
        END LOOP;
    END LOOP;
END $$
"""
"""No function trusts its caller's search_path; roles that write the outbox today may call them at once."""

NO_DELETE = """
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log {}
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END
"""
RECENT = "WHEN OLD.created_at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-90 days')"
SQLITE = ("DROP TRIGGER audit_log_no_delete", NO_DELETE.format(RECENT))
SQLITE_BEFORE = ("DROP TRIGGER audit_log_no_delete", NO_DELETE.format(""))


def upgrade() -> None:
    """Apply."""
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in (REFUSE_REMOVAL, *TRIGGERS, OLD_AUDIT, OLD_OUTBOX, PIN) if postgresql else SQLITE:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in TRIGGERS_BEFORE if postgresql else SQLITE_BEFORE:
        op.execute(statement)
    if postgresql:
        for name in ("remove_old_audit_rows", "remove_old_outbox_rows", "refuse_audit_removal"):
            op.execute(f"DROP FUNCTION {name}")
