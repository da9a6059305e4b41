"""Migrations: phases, plans, the lock, and plain alembic."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.servers.stack import development_settings

from payment_service.migrations import runner
from payment_service.migrations.command import migrate
from payment_service.migrations.runner import MigrationRefused, current_numbers, locked_connection, make_plan
from payment_service.migrations.support import APPLICATION_SCHEMA

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
