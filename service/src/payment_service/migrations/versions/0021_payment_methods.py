"""Payment methods: their table, a customer's default, and what of them is personal.

The function that parts personal fields from rows of the outbox (migration 15) learns the fields of the new kind. A
function that is replaced loses its settings, so its search path is pinned again.
"""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021_payment_methods"
down_revision = "0020_feed"
branch_labels = None
depends_on = None

phase = "expand"
schema_number = 21
oldest_application = 1
mysql = ()  # its trigger is made anew after every migration, of what is personal by then

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
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
"""The personal fields of each kind of object that the outbox told of before."""
NEW_FIELDS = {"payment_methods": ("card", "billing_details", "metadata")}
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
        {more}
    END
"""
"""Stripe's id of it."""
OF_METHODS = "WHEN 'payment_methods' THEN (SELECT last_customer_id FROM payment_methods WHERE id = NEW.object_id)"
PART = """
CREATE OR REPLACE FUNCTION outbox_part_personal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    names text[] := CASE NEW.object_type {names} END;
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
    ours := {ours};
    stripes := {stripes};
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
PIN = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION outbox_part_personal SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$
"""
VALUE = """
    json(CASE WHEN field.type IN ('object', 'array') THEN field.value
    WHEN field.type IN ('true', 'false') THEN field.type ELSE json_quote(field.value) END)
"""


def on_postgresql(fields: dict[str, tuple[str, ...]], more: str) -> tuple[str, ...]:
    """Return the statements that make the function part these fields."""
    names = " ".join(f"WHEN '{kind}' THEN ARRAY{list(names)}" for kind, names in fields.items())
    return PART.format(names=names, ours=OURS, stripes=STRIPES.format(more=more)), PIN


def on_sqlite(fields: dict[str, tuple[str, ...]], more: str) -> tuple[str, ...]:
    """Return the statements that make the triggers anew."""
    kinds = " ".join(f"WHEN '{kind}' THEN '{json.dumps(names)}'" for kind, names in fields.items())
    personal = f"field.key IN (SELECT value FROM json_each(CASE NEW.object_type {kinds} ELSE '[]' END))"
    filled = "field.type <> 'null' AND field.value NOT IN ('{}', '')"
    stripes = STRIPES.format(more=more)

    def held(side: str) -> str:
        fields_of = f"SELECT json_group_object(field.key, {VALUE}) FROM json_each({side}) AS field WHERE {personal}"
        return f"json(({fields_of}))"

    def left(side: str) -> str:
        emptied = f"CASE WHEN {personal} THEN json('null') ELSE {VALUE} END"
        state = f"(SELECT json_group_object(field.key, json({emptied})) FROM json_each({side}) AS field)"
        return f"CASE json_type({side}) WHEN 'object' THEN {state} ELSE {side} END"

    def is_held(side: str) -> str:
        return f"EXISTS (SELECT 1 FROM json_each({side}) AS field WHERE {personal} AND {filled})"

    any_held = f"({is_held('NEW.before')} OR {is_held('NEW.after')})"
    part = f"""
    INSERT INTO personal_data (id, customer_id, stripe_customer_id, content, created_at)
    SELECT 'outbox_' || NEW.seq, {OURS}, {stripes},
           json_object('before', {held("NEW.before")}, 'after', {held("NEW.after")}), NEW.created_at
    WHERE {any_held} AND coalesce({OURS}, {stripes}) IS NOT NULL;
    UPDATE outbox SET
        personal_id = coalesce((SELECT id FROM personal_data WHERE id = 'outbox_' || NEW.seq), ''),
        before = CASE WHEN {any_held} THEN {left("NEW.before")} ELSE NEW.before END,
        after = CASE WHEN {any_held} THEN {left("NEW.after")} ELSE NEW.after END
    WHERE seq = NEW.seq;
    """
    when = {"outbox_personal_new": "INSERT", "outbox_personal_old": "UPDATE OF personal_id"}
    made = [
        f"CREATE TRIGGER {name} AFTER {event} ON outbox WHEN NEW.personal_id IS NULL BEGIN {part} END"
        for name, event in when.items()
    ]
    return (*(f"DROP TRIGGER {name}" for name in when), *made)


def learn(fields: dict[str, tuple[str, ...]], more: str) -> None:
    """Let the database part these fields."""
    known = op.get_context().dialect.name == "postgresql"
    for statement in on_postgresql(fields, more) if known else on_sqlite(fields, more):
        op.execute(statement)


def create_table() -> None:
    """Create the table."""
    op.create_table(
        "payment_methods",
        sa.Column("id", sa.Text(), nullable=False, comment="Stripe's id"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("stripe_customer_id", sa.Text(), nullable=True, comment="null: it is detached"),
        sa.Column(
            "last_customer_id",
            sa.Text(),
            nullable=True,
            comment="Stripe's id of whose it is, or was as far as that was seen",
        ),
        sa.Column("allow_redisplay", sa.Text(), nullable=True),
        sa.Column("card", JSON, nullable=False, comment="what Stripe shows of a card; empty: it is none, or detached"),
        sa.Column("billing_details", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("detached", sa.Boolean(), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("stripe_updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_methods")),
    )
    for name in ("stripe_customer_id", "last_customer_id"):
        op.create_index(f"ix_payment_methods_{name}", "payment_methods", [name], unique=False)
    newest = ["livemode", "created_at", "id"]
    op.create_index("ix_payment_methods_created_at", "payment_methods", newest, unique=False)


def upgrade() -> None:
    """Apply."""
    create_table()
    here = "from when on all that it has saved is here; null: not yet"
    op.add_column("customers", sa.Column("default_payment_method_id", sa.Text(), nullable=True))
    op.add_column("customers", sa.Column("payment_methods_at", MOMENT, nullable=True, comment=here))
    learn(FIELDS | NEW_FIELDS, OF_METHODS)


def downgrade() -> None:
    """Take back."""
    learn(FIELDS, "")
    for name in ("payment_methods_at", "default_payment_method_id"):
        op.drop_column("customers", name)
    op.drop_table("payment_methods")
