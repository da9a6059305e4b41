"""A database is of one environment: the first has it, another is refused, a claim moves it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import select, text
from tests.integration.test_postgresql_grants import ROLE, owner_url, server
from tests.servers.stack import development_settings, running_stack

from payment_service.clock import Clock
from payment_service.migrations import naming
from payment_service.migrations.command import migrate
from payment_service.migrations.naming import DatabaseTaken, Named
from payment_service.migrations.runner import current_numbers, locked_connection
from payment_service.smoke import exit_code, run_smoke
from payment_service.storage.cursors import read_cursor
from payment_service.storage.database import Database
from payment_service.storage.tables import audit_log

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer

    from payment_service.config.settings import Settings

__all__ = ["owner_url", "server"]

PAYMENTS = Path(sys.executable).with_name("payments")
SHOP, OTHER = ("prod/shop", "uid-shop"), ("staging/shop", "uid-other")
NAMES = ("PAYMENTS_ENVIRONMENT_NAME", "PAYMENTS_ENVIRONMENT_UID")
TAKEN = 8


def of(environment: tuple[str, str], url: str, *, stripe_url: str = "http://127.0.0.1:1", **more: str) -> Settings:
    """What a pod of an environment is given."""
    return development_settings(
        database_url=url, stripe_url=stripe_url, **dict(zip(NAMES, environment, strict=True)), **more
    )


async def row(url: str) -> dict[str, Any] | None:
    async with locked_connection(of(("", ""), url).database) as connection:
        return await read_cursor(connection, naming.ROW)


async def audited(url: str) -> list[tuple[Any, Any, str]]:
    """Whose it was, whose it became and why, oldest first."""
    statement = select(audit_log.c.details).where(audit_log.c.action == "database.claim").order_by(audit_log.c.seq)
    async with locked_connection(of(("", ""), url).database) as connection:
        found = (await connection.execute(statement)).scalars().all()
        who = select(audit_log.c.actor, audit_log.c.on_behalf_of).where(audit_log.c.action == "database.claim")
        rows = (await connection.execute(who)).all()
    assert all("cli:" in f"{row.on_behalf_of or row.actor}" for row in rows), rows
    return [
        ((details.get("before") or {}).get("uid"), details["after"].get("uid"), details["reason"]) for details in found
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database()


async def test_the_second_environment_is_refused_by_every_mode_and_changes_nothing(empty_url: str) -> None:
    assert await migrate(of(SHOP, empty_url), mode="expand", as_json=False) == 0
    for mode in ("plan", "expand", "contract"):
        assert await migrate(of(OTHER, empty_url), mode=mode, as_json=False) == TAKEN
    for mode in ("plan", "expand", "contract"):
        assert await migrate(of(SHOP, empty_url), mode=mode, as_json=False) == 0
    assert await row(empty_url) == {"name": "prod/shop", "uid": "uid-shop"}
    assert await audited(empty_url) == [(None, "uid-shop", naming.FIRST)]


async def test_a_plan_names_nobody(empty_url: str) -> None:
    assert await migrate(of(("", ""), empty_url), mode="expand", as_json=False) == 0
    assert await migrate(of(SHOP, empty_url), mode="plan", as_json=False) == 0
    assert await row(empty_url) is None


async def test_of_two_first_ones_at_once_exactly_one_has_it(empty_url: str) -> None:
    environments = [SHOP, OTHER, ("qa/shop", "uid-qa")]
    codes = await asyncio.gather(*(migrate(of(each, empty_url), mode="expand", as_json=False) for each in environments))
    assert sorted(codes) == [0, TAKEN, TAKEN]
    found = await row(empty_url)
    assert found is not None
    assert found["name"] == environments[codes.index(0)][0]
    assert len(await audited(empty_url)) == 1


async def test_of_many_at_once_without_the_lock_of_migrations_exactly_one_has_it(database_url: str) -> None:
    databases = [Database.from_settings(of(SHOP, database_url).database) for _ in range(8)]

    async def settle(number: int, database: Database) -> bool:
        try:
            async with database.transaction() as connection:
                await naming.settle(connection, Named(f"team-{number}/shop"), now=Clock().now())
        except DatabaseTaken:
            return False
        return True

    try:
        won = await asyncio.gather(*(settle(number, database) for number, database in enumerate(databases)))
    finally:
        for database in databases:
            await database.close()
    assert won.count(True) == 1
    assert await row(database_url) == {"name": f"team-{won.index(True)}/shop"}
    assert len(await audited(database_url)) == 1


async def test_a_migration_that_died_before_it_named_anybody_names_at_the_next_run(database_url: str) -> None:
    assert await row(database_url) is None
    for _ in range(2):
        assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == 0
    assert await migrate(of(OTHER, database_url), mode="expand", as_json=False) == TAKEN
    assert len(await audited(database_url)) == 1


async def test_made_anew_it_goes_on_and_the_one_before_is_refused_should_it_live(database_url: str) -> None:
    anew = ("prod/shop", "uid-anew")
    for environment in (SHOP, anew, anew):
        assert await migrate(of(environment, database_url), mode="expand", as_json=False) == 0
    assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == TAKEN
    assert await row(database_url) == {"name": "prod/shop", "uid": "uid-anew", "former": ["uid-shop"]}
    assert (await audited(database_url))[1:] == [("uid-shop", "uid-anew", naming.MADE_ANEW)]


async def test_outside_of_kubernetes_nothing_is_asked_and_nothing_written(database_url: str) -> None:
    nobody = of(("", ""), database_url)
    assert await migrate(nobody, mode="expand", as_json=False) == 0
    assert await row(database_url) is None
    assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == 0
    assert await migrate(nobody, mode="expand", as_json=False) == 0


async def test_a_row_that_cannot_be_read_is_nobodys_and_is_claimed(database_url: str) -> None:
    async with locked_connection(of(SHOP, database_url).database) as connection:
        statement = "INSERT INTO cursors (name, value, updated_at) VALUES ('environment', '[1]', CURRENT_TIMESTAMP)"
        await connection.execute(text(statement))
        await connection.commit()
    assert await migrate(of(SHOP, database_url), mode="plan", as_json=False) == TAKEN
    assert claim(database_url, SHOP).returncode == 0
    assert await migrate(of(SHOP, database_url), mode="plan", as_json=False) == 0


async def test_a_pod_that_starts_again_goes_on_but_migrates_no_database_of_others(
    empty_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    upgrade(empty_url, "0015_personal_data")
    async with locked_connection(of(SHOP, empty_url).database) as connection:
        await naming.settle(connection, Named(*SHOP), now=Clock().now())
        await connection.commit()
    assert await migrate(of(OTHER, empty_url), mode="expand", as_json=False, lenient=True) == TAKEN
    async with locked_connection(of(SHOP, empty_url).database) as connection:
        assert (await current_numbers(connection))[0] == 15
    assert await migrate(of(SHOP, empty_url), mode="expand", as_json=False) == 0
    assert await migrate(of(OTHER, empty_url), mode="expand", as_json=False, lenient=True) == 0
    assert "Going on" in capsys.readouterr().err
    assert (await row(empty_url) or {})["name"] == "prod/shop"


def upgrade(url: str, revision: str) -> None:
    alembic, root = Path(sys.executable).with_name("alembic"), Path(__file__).parents[2]
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    subprocess.run([alembic, "upgrade", revision], cwd=root, env=environ, capture_output=True, check=True)


def claim(
    url: str, environment: tuple[str, str], *words: str, reason: str = "moved"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PAYMENTS, "database", "claim", "--reason", reason, *words],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url} | dict(zip(NAMES, environment, strict=True)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_claim_moves_it_is_audited_and_turns_the_refusal_round(database_url: str) -> None:
    assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == 0
    looked = claim(database_url, OTHER, "--dry-run")
    assert looked.stdout == "Would be claimed: prod/shop (uid uid-shop) → staging/shop (uid uid-other)\n", looked
    assert await migrate(of(OTHER, database_url), mode="plan", as_json=False) == TAKEN
    moved = claim(database_url, OTHER, reason="a copy of Tuesday")
    assert moved.returncode == 0, moved.stderr
    assert "prod/shop (uid uid-shop) → staging/shop (uid uid-other)" in moved.stdout
    assert await migrate(of(OTHER, database_url), mode="expand", as_json=False) == 0
    assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == TAKEN
    again = claim(database_url, OTHER, reason="once more")
    assert again.stdout == "It is this environment's already: staging/shop (uid uid-other)\n"
    assert (await audited(database_url))[1:] == [("uid-shop", "uid-other", "a copy of Tuesday")]


async def test_a_copy_of_an_older_version_is_claimed_before_it_can_be_migrated(empty_url: str) -> None:
    upgrade(empty_url, "0016_back_fill")
    async with locked_connection(of(SHOP, empty_url).database) as connection:
        await naming.settle(connection, Named(*SHOP), now=Clock().now())
        await connection.commit()
    assert await migrate(of(OTHER, empty_url), mode="expand", as_json=False) == TAKEN
    moved = claim(empty_url, OTHER, reason="a copy of last year")
    assert moved.returncode == 0, moved.stderr
    assert await migrate(of(OTHER, empty_url), mode="expand", as_json=False) == 0
    assert (await audited(empty_url))[-1] == ("uid-shop", "uid-other", "a copy of last year")


async def test_the_applications_role_may_claim_and_the_owners_migration_sees_it(owner_url: str) -> None:
    assert await migrate(of(SHOP, owner_url), mode="expand", as_json=False) == 0
    application = owner_url.replace("payments_owner@", f"{ROLE}@")
    moved = claim(application, OTHER, reason="a pod of the API asks")
    assert moved.returncode == 0, moved.stderr
    assert await migrate(of(SHOP, owner_url), mode="plan", as_json=False) == TAKEN
    assert await migrate(of(OTHER, application), mode="plan", as_json=False) == 0


def test_a_claim_needs_a_reason_a_name_and_tables(tmp_path: Path, migrated_sqlite: Path) -> None:
    empty, full = f"sqlite:///{tmp_path / 'empty.sqlite3'}", f"sqlite:///{migrated_sqlite}"
    assert claim(full, SHOP, reason="").returncode == 2
    nameless = claim(full, ("", ""))
    assert (nameless.returncode, "PAYMENTS_ENVIRONMENT_NAME" in nameless.stderr) == (1, True)
    untabled = claim(empty, SHOP)
    assert (untabled.returncode, "payments migrate" in untabled.stderr) == (1, True)
    strange = claim(full, ("shop", "uid"))
    assert (strange.returncode, "is not namespace/name" in strange.stderr) == (2, True)


async def test_a_smoke_that_passes_names_it_and_the_next_environments_smoke_is_refused(database_url: str) -> None:
    async with running_stack(database_url) as stack:
        stripe_url, url = stack.parts.settings.stripe.api_base, str(stack.client.base_url).rstrip("/")
        failed = await run_smoke(of(SHOP, database_url, stripe_url="http://127.0.0.1:1"), base_url=url)
        assert exit_code(failed) == 1
        assert await row(database_url) is None, "what is not proven has no database"
        passed = await run_smoke(of(SHOP, database_url, stripe_url=stripe_url), base_url=url)
        assert exit_code(passed) == 0, passed
        assert passed[-1]["detail"] == "the database is of prod/shop (uid uid-shop)"
        refused = await run_smoke(of(OTHER, database_url, stripe_url=stripe_url), base_url=url)
        assert exit_code(refused) == TAKEN
        assert [result["check"] for result in refused if not result["passed"]] == ["environment"]


async def test_what_serves_is_ready_whatever_the_row_says(database_url: str) -> None:
    assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == 0
    more = dict(zip(NAMES, OTHER, strict=True))
    async with running_stack(database_url, **more) as stack:
        assert (await stack.client.get("/health/ready")).status_code == 200
        answer = await stack.create(email="ada@example.com", payment_method_id="pm_card_visa")
        assert answer.status_code == 201, answer.text


async def test_a_refusal_stands_where_kubernetes_looks(database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    assert await migrate(of(SHOP, database_url), mode="expand", as_json=False) == 0
    refused = of(OTHER, database_url, PAYMENTS_TERMINATION_LOG=str(log))
    assert await migrate(refused, mode="plan", as_json=False) == TAKEN
    said = msgspec.json.decode(log.read_bytes())["error"]
    assert "prod/shop (uid uid-shop)" in said
    assert "staging/shop (uid uid-other)" in said
