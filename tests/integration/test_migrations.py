"""Migrations: phases, plans, the lock, and plain alembic."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.servers.stack import development_settings

from payment_service.migrations import runner
from payment_service.migrations.command import migrate
from payment_service.migrations.runner import MigrationRefused, current_numbers, locked_connection, make_plan
from payment_service.migrations.support import APPLICATION_SCHEMA
from payment_service.storage.column_types import Json
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import audit_log, outbox

if TYPE_CHECKING:
    from payment_service.config.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql", "postgresql15"])
def empty_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings on an empty database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    else:
        fixture = {"postgresql": "postgres_server", "postgresql15": "postgres15_server"}[request.param]
        url = request.getfixturevalue(fixture).new_database()
    return development_settings(database_url=url, stripe_url="http://127.0.0.1:1")


async def test_expand_brings_an_empty_database_to_the_newest_schema(empty_settings: Settings) -> None:
    assert await migrate(empty_settings, mode="expand", as_json=False) == 0
    async with locked_connection(empty_settings.database) as connection:
        assert await current_numbers(connection) == (APPLICATION_SCHEMA, 1)


async def test_running_twice_changes_nothing(empty_settings: Settings) -> None:
    for _ in range(2):
        assert await migrate(empty_settings, mode="expand", as_json=False) == 0


async def test_a_plan_changes_nothing_and_shows_sql(
    empty_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await migrate(empty_settings, mode="plan", as_json=True) == 0
    assert "CREATE TABLE subscriptions" in capsys.readouterr().out
    async with locked_connection(empty_settings.database) as connection:
        assert await current_numbers(connection) == (0, 0)


async def test_a_database_that_has_left_this_image_behind_is_refused(empty_settings: Settings) -> None:
    await migrate(empty_settings, mode="expand", as_json=False)
    async with locked_connection(empty_settings.database) as connection:
        await connection.execute(
            text("INSERT INTO schema_versions VALUES (99, 'future', 'contract', 99, CURRENT_TIMESTAMP)")
        )
        await connection.commit()
        with pytest.raises(MigrationRefused) as caught:
            await make_plan(connection, contract=False)
    assert caught.value.exit_code == 5


async def test_two_runs_at_once_do_not_overlap(empty_settings: Settings) -> None:
    codes = await asyncio.gather(*(migrate(empty_settings, mode="expand", as_json=False) for _ in range(3)))
    assert codes == [0, 0, 0]


async def test_a_lock_that_stays_busy_is_exit_code_3(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = development_settings(database_url=postgres_url, stripe_url="http://127.0.0.1:1")
    monkeypatch.setattr(runner, "LOCK_WAIT_SECONDS", 0.3)
    async with locked_connection(settings.database):
        assert await migrate(settings, mode="expand", as_json=False) == 3


async def test_a_database_that_is_away_is_exit_code_1() -> None:
    settings = development_settings(
        database_url="postgresql://nobody:secret@127.0.0.1:9/none", stripe_url="http://127.0.0.1:1"
    )
    assert await migrate(settings, mode="expand", as_json=False) == 1


def test_plain_alembic_runs_the_same_migrations(postgres_url: str) -> None:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": postgres_url}
    alembic = Path(sys.executable).with_name("alembic")
    for command in (["upgrade", "head"], ["check"]):
        answer = subprocess.run([alembic, *command], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
    assert "No new upgrade operations" in answer.stdout + answer.stderr


def test_a_downgrade_empties_the_database(postgres_url: str) -> None:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": postgres_url}
    alembic = Path(sys.executable).with_name("alembic")
    for command in (["upgrade", "head"], ["downgrade", "base"]):
        answer = subprocess.run([alembic, *command], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr


def upgrade(settings: Settings, revision: str, *, command: str = "upgrade") -> None:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": settings.database.url.reveal()}
    alembic = Path(sys.executable).with_name("alembic")
    subprocess.run([alembic, command, revision], cwd=ROOT, env=environ, capture_output=True, check=True)


async def test_live_rows_that_share_a_product_pass_the_migration_of_slots(empty_settings: Settings) -> None:
    upgrade(empty_settings, "0009_newest_first")
    statement = text(
        "INSERT INTO subscriptions (id, stripe_subscription_id, customer_id, product_id, price_id, quantity, status,"
        " exclusive, metadata, livemode, created_at, updated_at) VALUES (:id, :id, 'lpc_1', 'prod_1', 'price_1', 3,"
        " 'active', :exclusive, '{}', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    async with locked_connection(empty_settings.database) as connection:
        rows = [{"id": "sub_1", "exclusive": True}, {"id": "sub_2", "exclusive": False}]
        await connection.execute(statement, rows)
        await connection.commit()
    upgrade(empty_settings, "head")
    async with locked_connection(empty_settings.database) as connection:
        found = await connection.execute(text("SELECT id, quantity, ordered_product_id FROM subscriptions ORDER BY id"))
        assert [tuple(row) for row in found] == [("sub_1", 3, None), ("sub_2", 3, None)]


async def test_a_key_with_an_unknown_scope_is_revoked_and_no_other_can_be_made(empty_settings: Settings) -> None:
    upgrade(empty_settings, "0010_slots")
    statement = text(
        "INSERT INTO api_keys (id, principal, prefix, digest, scope, livemode, created_at)"
        " VALUES (:id, 'shop', 'lp_test_ab', :digest, :scope, false, CURRENT_TIMESTAMP)"
    )
    keys = [{"id": scope, "scope": scope, "digest": scope.encode()} for scope in ("admin", "root")]
    async with locked_connection(empty_settings.database) as connection:
        await connection.execute(statement, keys)
        await connection.commit()
    upgrade(empty_settings, "head")
    async with locked_connection(empty_settings.database) as connection:
        found = await connection.execute(text("SELECT id, scope, revoked_at IS NULL FROM api_keys ORDER BY id"))
        assert [tuple(row) for row in found] == [("admin", "admin", True), ("root", "read", False)]
        audited = (await connection.execute(select(audit_log))).one()
        assert (audited.action, audited.object_id, audited.details["scope"]) == ("api_key.revoke", "root", "root")
        with pytest.raises(IntegrityError, match="ck_api_keys_scope"):
            await connection.execute(statement, {"id": "new", "scope": "Admin", "digest": b"new"})


OUTBOX = text(
    "INSERT INTO outbox (object_type, object_id, before, after, cause, created_at)"
    " VALUES (:kind, :object_id, :before, :after, 'c', CURRENT_TIMESTAMP)"
).bindparams(*(bindparam(name, type_=Json) for name in ("before", "after")))
"""As the version before writes it."""
OF_CUSTOMER = {
    "kind": "customers",
    "object_id": "cus_1",
    "before": {"email": "ada@example.com", "deleted": False},
    "after": {"email": "eva@example.com", "metadata": {"plan": "β", "deep": "{}"}, "deleted": False, "livemode": False},
}
OF_SUBSCRIPTION = {
    "kind": "subscriptions",
    "object_id": "sub_1",
    "before": None,
    "after": {"status": "active", "quantity": 3, "items": [{"id": "si_1"}], "metadata": {"who": "Ada"}},
}
OF_PRODUCT = {
    "kind": "products",
    "object_id": "prod_1",
    "before": None,
    "after": {"name": "Pro", "metadata": {"a": "b"}},
}
OF_NOBODY = {
    "kind": "charges",
    "object_id": "ch_1",
    "before": None,
    "after": {"metadata": {"who": "Ada"}, "paid": True},
}
CHANGES: tuple[dict[str, Any], ...] = (OF_CUSTOMER, OF_SUBSCRIPTION, OF_PRODUCT, OF_NOBODY)
PARTED = [
    (
        {"email": None, "deleted": False},
        {"email": None, "metadata": None, "deleted": False, "livemode": False},
        {
            "before": {"email": "ada@example.com"},
            "after": {"email": "eva@example.com", "metadata": {"plan": "β", "deep": "{}"}},
        },
        ("lpc_1", "cus_1"),
    ),
    (
        None,
        {"status": "active", "quantity": 3, "items": [{"id": "si_1"}], "metadata": None},
        {"before": {}, "after": {"metadata": {"who": "Ada"}}},
        (None, "cus_1"),
    ),
    (None, {"name": "Pro", "metadata": {"a": "b"}}, None, None),
    (None, {"metadata": None, "paid": True}, None, None),
]
"""What stays in the row, what goes to personal_data, and whose it is; without a customer it goes nowhere."""


async def parted(settings: Settings) -> list[tuple[Any, ...]]:
    """Return each row of the outbox with what it refers to."""
    joined = outbox.join(personal_data, personal_data.c.id == outbox.c.personal_id, isouter=True)
    async with locked_connection(settings.database) as connection:
        found = await connection.execute(select(outbox, personal_data).select_from(joined).order_by(outbox.c.seq))
        return [
            (row.before, row.after, row.content, row.content and (row.customer_id, row.stripe_customer_id))
            for row in found
        ]


async def write_changes(settings: Settings) -> None:
    async with locked_connection(settings.database) as connection:
        for change in CHANGES:
            await connection.execute(OUTBOX, change)
        await connection.commit()


async def make_customer(settings: Settings) -> None:
    customer = text(
        "INSERT INTO customers (id, stripe_customer_id, metadata, origin, livemode, created_at, updated_at)"
        " VALUES ('lpc_1', 'cus_1', '{}', 'api', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    subscription = text(
        "INSERT INTO subscriptions (id, stripe_subscription_id, stripe_customer_id, product_id, price_id, status,"
        " exclusive, metadata, livemode, created_at, updated_at) VALUES ('lps_1', 'sub_1', 'cus_1', 'prod_1', 'p_1',"
        " 'active', true, '{}', false, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    async with locked_connection(settings.database) as connection:
        for statement in (customer, subscription):
            await connection.execute(statement)
        await connection.commit()


async def test_what_the_outbox_held_of_people_moves_out_of_old_and_new_rows(
    empty_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows from before the migration, in several batches, and rows that the version before writes after it."""
    upgrade(empty_settings, "0014_retention")
    await make_customer(empty_settings)
    for _ in range(2):
        await write_changes(empty_settings)
    upgrade(empty_settings, "0015_personal_data")
    back_fill = import_module("payment_service.migrations.versions.0016_back_fill")
    monkeypatch.setattr(back_fill, "ROWS", 3)
    async with locked_connection(empty_settings.database) as connection:
        await connection.run_sync(back_fill.back_fill)
        await connection.commit()
    upgrade(empty_settings, "head")
    await write_changes(empty_settings)
    assert await parted(empty_settings) == PARTED * 3
    async with locked_connection(empty_settings.database) as connection:
        await connection.execute(text("DELETE FROM outbox"))
        assert (await connection.execute(select(personal_data))).all() == []


async def test_the_back_fill_may_be_interrupted_and_run_again(empty_settings: Settings) -> None:
    upgrade(empty_settings, "0014_retention")
    await make_customer(empty_settings)
    await write_changes(empty_settings)
    upgrade(empty_settings, "0015_personal_data")
    async with locked_connection(empty_settings.database) as connection:
        await connection.execute(text("UPDATE outbox SET personal_id = NULL WHERE seq = (SELECT min(seq) FROM outbox)"))
        await connection.execute(text("CREATE INDEX ix_operations_personal_id ON operations (kind)"))
        await connection.commit()
    upgrade(empty_settings, "head")
    assert await parted(empty_settings) == PARTED


async def test_who_asked_goes_back_to_where_the_version_before_has_it(empty_settings: Settings) -> None:
    upgrade(empty_settings, "head")
    insert = (
        "INSERT INTO audit_log ({}, action, object_type, object_id, details, created_at)"
        " VALUES ({}, 'a', 'b', 'c', '{{}}', CURRENT_TIMESTAMP)"
    )
    async with locked_connection(empty_settings.database) as connection:
        await connection.execute(text(insert.format("actor, on_behalf_of", "'x', 'cli:ada'")))
        await connection.execute(text(insert.format("actor", "'worker:erasure'")))
        await connection.commit()
    upgrade(empty_settings, "0017_joined", command="downgrade")
    async with locked_connection(empty_settings.database) as connection:
        found = await connection.execute(text("SELECT actor FROM audit_log ORDER BY seq"))
        assert list(found.scalars()) == ["cli:ada", "worker:erasure"]
        with pytest.raises(DBAPIError, match="append-only"):
            await connection.execute(text("UPDATE audit_log SET actor = 'x'"))
