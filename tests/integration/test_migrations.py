"""Migrations: phases, plans, the lock, and plain alembic."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from tests.servers.stack import development_settings

from payment_service.migrations import runner
from payment_service.migrations.command import migrate
from payment_service.migrations.runner import MigrationRefused, current_numbers, locked_connection, make_plan
from payment_service.migrations.support import APPLICATION_SCHEMA
from payment_service.tables import audit_log

if TYPE_CHECKING:
    from payment_service.settings import Settings

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


def upgrade(settings: Settings, revision: str) -> None:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": settings.database.url.reveal()}
    alembic = Path(sys.executable).with_name("alembic")
    subprocess.run([alembic, "upgrade", revision], cwd=ROOT, env=environ, capture_output=True, check=True)


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
