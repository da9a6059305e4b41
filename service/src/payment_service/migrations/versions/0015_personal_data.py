"""Keep personal fields in a table of their own, which rows of the outbox and operations refer to.

The database itself parts them from the rows of the outbox when these are written, so that the version before, which
still runs on this schema, leaves none behind: what was set becomes null in the row, and the value goes to
`personal_data` under the customer's ids; without a customer it is kept nowhere. Operations are parted by the worker
once their key has lapsed (`operations/people.py`): until then either version replays them. What is removed from
either table takes its personal data along. Migration 16 parts the rows that are there already.
"""

import json
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015_personal_data"
down_revision = "0014_retention"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 15
oldest_application = 1

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
REFERS = "in personal_data; empty: nothing personal; null: not parted yet"
OF_CUSTOMER = ("email", "address_key", "name", "reference", "metadata")
FIELDS = {
    "customers": OF_CUSTOMER,
    "subscriptions": ("metadata",),
    "payment_intents": ("metadata",),
    "setup_intents": ("metadata",),
    "charges": ("metadata",),
    "refunds": ("metadata",),
    "disputes": ("metadata",),
    "invoice_payments": ("metadata",),
    "checkout_sessions": ("client_reference_id", "metadata"),
}
"""The personal fields of each kind of object that the outbox tells of."""
OURS = """
    CASE NEW.object_type WHEN 'customers' THEN
        (SELECT id FROM customers WHERE id = NEW.object_id OR stripe_customer_id = NEW.object_id)
    END
"""
"""Our id of the customer that a row of the outbox is about."""
STRIPES = """
    CASE NEW.object_type
        WHEN 'customers' THEN (SELECT stripe_customer_id FROM customers
            WHERE id = NEW.object_id OR stripe_customer_id = NEW.object_id)
        WHEN 'subscriptions' THEN (SELECT stripe_customer_id FROM subscriptions
            WHERE stripe_subscription_id = NEW.object_id)
        WHEN 'payment_intents' THEN (SELECT stripe_customer_id FROM payment_intents WHERE id = NEW.object_id)
        WHEN 'setup_intents' THEN (SELECT stripe_customer_id FROM setup_intents WHERE id = NEW.object_id)
        WHEN 'charges' THEN (SELECT stripe_customer_id FROM charges WHERE id = NEW.object_id)
        WHEN 'refunds' THEN (SELECT stripe_customer_id FROM charges
            WHERE id = (SELECT charge_id FROM refunds WHERE id = NEW.object_id))
        WHEN 'disputes' THEN (SELECT stripe_customer_id FROM charges
            WHERE id = (SELECT charge_id FROM disputes WHERE id = NEW.object_id))
        WHEN 'checkout_sessions' THEN (SELECT stripe_customer_id FROM checkout_sessions WHERE id = NEW.object_id)
    END
"""
"""Stripe's id of it."""


def by_kind(of_names: Callable[[tuple[str, ...]], str]) -> str:
    """Return the branches that give the names of each kind."""
    return " ".join(f"WHEN '{kind}' THEN {of_names(names)}" for kind, names in FIELDS.items())


NAMES = by_kind(lambda names: f"ARRAY{list(names)}")
PART = f"""
CREATE FUNCTION outbox_part_personal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    names text[] := CASE NEW.object_type {NAMES} END;
    ours text;
    stripes text;
    held jsonb := '{{}}';
    state jsonb;
    told record;
BEGIN
    NEW.personal_id := '';
    FOR told IN SELECT 'before' AS side, NEW.before AS state UNION ALL SELECT 'after', NEW.after LOOP
        SELECT jsonb_object_agg(key, value) INTO state
        FROM jsonb_each(CASE jsonb_typeof(told.state) WHEN 'object' THEN told.state ELSE '{{}}' END)
        WHERE key = ANY (names);
        held := held || jsonb_build_object(told.side, coalesce(state, '{{}}'));
    END LOOP;
    IF NOT EXISTS (SELECT FROM jsonb_each(held) AS side, jsonb_each(side.value) AS field
                   WHERE field.value NOT IN ('null', '{{}}', '""')) THEN
        RETURN NEW;
    END IF;
    ours := {OURS};
    stripes := {STRIPES};
    IF coalesce(ours, stripes) IS NOT NULL THEN
        NEW.personal_id := 'outbox_' || NEW.seq;
        INSERT INTO personal_data (id, customer_id, stripe_customer_id, content, created_at)
        VALUES (NEW.personal_id, ours, stripes, held, NEW.created_at);
    END IF;
    IF jsonb_typeof(NEW.before) = 'object' THEN
        NEW.before := (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (names) THEN 'null' ELSE value END)
                       FROM jsonb_each(NEW.before));
    END IF;
    IF jsonb_typeof(NEW.after) = 'object' THEN
        NEW.after := (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (names) THEN 'null' ELSE value END)
                      FROM jsonb_each(NEW.after));
    END IF;
    RETURN NEW;
END $$
"""
FORGET = """
CREATE FUNCTION forget_personal_data() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM personal_data WHERE id = OLD.personal_id;
    RETURN NULL;
END $$
"""
PIN = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['outbox_part_personal', 'forget_personal_data'] LOOP
        EXECUTE format('ALTER FUNCTION %I SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %I FROM PUBLIC', name);
    END LOOP;
END $$
"""
POSTGRESQL = (
    PART,
    FORGET,
    PIN,
    """
    CREATE TRIGGER outbox_personal BEFORE INSERT OR UPDATE ON outbox
    FOR EACH ROW WHEN (NEW.personal_id IS NULL) EXECUTE FUNCTION outbox_part_personal()
    """,
    *(
        f"""
        CREATE TRIGGER {table}_forget AFTER DELETE ON {table}
        FOR EACH ROW WHEN (OLD.personal_id <> '') EXECUTE FUNCTION forget_personal_data()
        """
        for table in ("outbox", "operations")
    ),
)

IS_PERSONAL = f"""
    field.key IN (SELECT value FROM json_each(CASE NEW.object_type {by_kind(lambda names: f"'{json.dumps(names)}'")}
    ELSE '[]' END))
"""
VALUE = """
    json(CASE WHEN field.type IN ('object', 'array') THEN field.value
    WHEN field.type IN ('true', 'false') THEN field.type ELSE json_quote(field.value) END)
"""


def held(side: str) -> str:
    """Return SQLite's expression for the personal fields of one side."""
    return f"json((SELECT json_group_object(field.key, {VALUE}) FROM json_each({side}) AS field WHERE {IS_PERSONAL}))"


def left(side: str) -> str:
    """Return the expression for what stays of one side."""
    emptied = f"CASE WHEN {IS_PERSONAL} THEN json('null') ELSE {VALUE} END"
    state = f"(SELECT json_group_object(field.key, json({emptied})) FROM json_each({side}) AS field)"
    return f"CASE json_type({side}) WHEN 'object' THEN {state} ELSE {side} END"


def is_held(side: str) -> str:
    """Return the condition that one side holds anything personal."""
    filled = "field.type <> 'null' AND field.value NOT IN ('{}', '')"
    return f"EXISTS (SELECT 1 FROM json_each({side}) AS field WHERE {IS_PERSONAL} AND {filled})"


ANY_HELD = f"({is_held('NEW.before')} OR {is_held('NEW.after')})"
SQLITE_PART = f"""
    INSERT INTO personal_data (id, customer_id, stripe_customer_id, content, created_at)
    SELECT 'outbox_' || NEW.seq, {OURS}, {STRIPES},
           json_object('before', {held("NEW.before")}, 'after', {held("NEW.after")}), NEW.created_at
    WHERE {ANY_HELD} AND coalesce({OURS}, {STRIPES}) IS NOT NULL;
    UPDATE outbox SET
        personal_id = coalesce((SELECT id FROM personal_data WHERE id = 'outbox_' || NEW.seq), ''),
        before = CASE WHEN {ANY_HELD} THEN {left("NEW.before")} ELSE NEW.before END,
        after = CASE WHEN {ANY_HELD} THEN {left("NEW.after")} ELSE NEW.after END
    WHERE seq = NEW.seq;
"""
SQLITE = (
    *(
        f"CREATE TRIGGER outbox_personal_{when} AFTER {event} ON outbox WHEN NEW.personal_id IS NULL "
        f"BEGIN {SQLITE_PART} END"
        for when, event in (("new", "INSERT"), ("old", "UPDATE OF personal_id"))
    ),
    *(
        f"CREATE TRIGGER {table}_forget AFTER DELETE ON {table} WHEN OLD.personal_id <> '' "
        "BEGIN DELETE FROM personal_data WHERE id = OLD.personal_id; END"
        for table in ("outbox", "operations")
    ),
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "personal_data",
        sa.Column("id", sa.Text(), nullable=False, comment="of the row that refers to it"),
        sa.Column("customer_id", sa.Text(), nullable=True, comment="our id of the person"),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True),
        sa.Column("content", JSON, nullable=False, comment="the personal fields that the row held"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_personal_data"),
    )
    for name in ("customer_id", "stripe_customer_id"):
        op.create_index(f"ix_personal_data_{name}", "personal_data", [name])
    for table in ("outbox", "operations"):
        op.add_column(table, sa.Column("personal_id", sa.Text(), nullable=True, comment=REFERS))
    erased = "when what was kept beside this row went, after a deletion at Stripe"
    op.add_column("customers", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True, comment=erased))
    reduced = "when the payload was reduced: its customer was deleted at Stripe"
    op.add_column("events", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True, comment=reduced))
    for statement in POSTGRESQL if op.get_context().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)


def downgrade() -> None:
    """Take back; the outbox gets its fields again, what operations held of people is gone."""
    if op.get_context().dialect.name == "postgresql":
        for table in ("outbox", "operations"):
            op.execute(f"DROP TRIGGER {table}_forget ON {table}")
        op.execute("DROP TRIGGER outbox_personal ON outbox")
        op.execute("DROP FUNCTION outbox_part_personal")
        op.execute("DROP FUNCTION forget_personal_data")
        op.execute(
            "UPDATE outbox SET before = CASE jsonb_typeof(before) WHEN 'object' THEN before || (p.content->'before')"
            " ELSE before END, after = CASE jsonb_typeof(after) WHEN 'object' THEN after || (p.content->'after')"
            " ELSE after END FROM personal_data p WHERE p.id = outbox.personal_id"
        )
    else:
        for name in ("outbox_personal_new", "outbox_personal_old", "outbox_forget", "operations_forget"):
            op.execute(f"DROP TRIGGER {name}")
    for table in ("events", "customers"):
        op.drop_column(table, "erased_at")
    for table in ("operations", "outbox"):
        op.drop_column(table, "personal_id")
    op.drop_table("personal_data")
