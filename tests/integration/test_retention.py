"""How long the outbox and the audit log stay, and what else the application's role can do to them: nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from sqlalchemy import insert, text
from tests.integration.test_postgresql_grants import ROLE, owner_url, server
from tests.servers.laboratory import Laboratory, laboratory
from tests.servers.stack import development_settings

from payment_service.migrations.mysql_triggers import triggers
from payment_service.storage.database import Database
from payment_service.storage.retention import remove_old
from payment_service.storage.tables import audit_log, outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Table

__all__ = ["owner_url", "server"]  # fixtures

STAMPED = "ALTER TABLE audit_log {} TRIGGER audit_log_stamped"
NOW = datetime.now(tz=UTC)
FUNCTIONS = ("remove_old_audit_rows", "remove_old_outbox_rows")


@pytest.fixture
async def lab(database_url: str) -> AsyncIterator[Laboratory]:
    async with laboratory(database_url) as running:
        yield running


@pytest.fixture
async def application(owner_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The restricted role, on a database with rows of every age."""
    owner = await asyncpg.connect(owner_url)
    await owner.execute(STAMPED.format("DISABLE"))
    for number, days in enumerate((500, 401, 399, 91, 89, 8, 6, 0), start=-8):
        at = NOW - timedelta(days=days)
        await owner.execute("INSERT INTO audit_log VALUES ($1, 'a', 'b', 'c', 'd', '{}', $2)", number, at)
        await owner.execute("INSERT INTO outbox VALUES ($1, 'a', 'b', '{}', '{}', 'c', $2)", number, at)
    await owner.execute(STAMPED.format("ENABLE"))
    await owner.close()
    connection = await asyncpg.connect(owner_url.replace("payments_owner@", f"{ROLE}@"))
    yield connection
    await connection.close()


async def append(database: Database, *ages: int) -> None:
    """Append a row of each age to both, as the owner of the tables could."""
    rows: list[dict[str, Any]] = [{"created_at": NOW - timedelta(days=days)} for days in ages]
    told = {"object_type": "thing", "object_id": "t", "before": None, "after": None, "cause": "c"}
    audited = {"actor": "cli:a", "action": "thing.change", "object_type": "thing", "object_id": "t", "details": {}}
    stop, go_on = (
        ((STAMPED.format("DISABLE"),), (STAMPED.format("ENABLE"),)) if database.dialect.has_roles else ((), ())
    )
    if not database.dialect.rolls_back_tables:  # MariaDB: no trigger can be switched off
        stop, go_on = ("DROP TRIGGER audit_log_stamped",), (next(triggers()),)
    async with database.transaction() as connection:
        for statement in stop:
            await connection.exec_driver_sql(statement)
        await connection.execute(insert(outbox), [told | row for row in rows])
        await connection.execute(insert(audit_log), [audited | row for row in rows])
        for statement in go_on:
            await connection.exec_driver_sql(statement)


async def ages(lab: Laboratory, table: Table) -> list[int]:
    return sorted((NOW - row["created_at"]).days for row in await lab.rows(table) if row["object_id"] == "t")


async def test_the_worker_removes_what_is_older_than_the_settings_say(lab: Laboratory) -> None:
    await append(lab.parts.database, 402, 398, 92, 88, 1)
    await lab.parts.worker.keep_house()
    assert await ages(lab, outbox) == [1, 88]
    assert await ages(lab, audit_log) == [1, 88, 92, 398]


async def test_what_was_removed_from_the_audit_log_stands_there_once_a_day(lab: Laboratory) -> None:
    await append(lab.parts.database, 500, 450, 10)
    for _ in range(3):
        await lab.parts.worker.keep_house()
    removals = [row for row in await lab.rows(audit_log) if row["action"] == "audit_log.remove"]
    assert [(row["on_behalf_of"], row["details"]["rows"]) for row in removals] == [("worker:retention", 2)]
    assert removals[0]["details"]["older_than"][:10] <= str((NOW - timedelta(days=399)).date())


async def test_rows_go_in_batches_from_the_oldest_on(lab: Laboratory) -> None:
    await append(lab.parts.database, 300, 280, 260, 240, 3)
    database = lab.parts.database
    assert await remove_old(database, outbox, days=90, now=lab.clock.now(), limit=3) == 3
    assert await ages(lab, outbox) == [3, 240]
    assert await remove_old(database, outbox, days=90, now=lab.clock.now(), limit=3, rounds=5) == 1
    assert await ages(lab, outbox) == [3]


async def test_a_recent_audit_row_stays_whoever_deletes_it(lab: Laboratory) -> None:
    await append(lab.parts.database, 91, 89)
    async with lab.parts.database.transaction() as connection:
        await connection.execute(text("DELETE FROM audit_log WHERE created_at < :at"), {"at": NOW - timedelta(days=90)})
    with pytest.raises(Exception, match="append-only"):
        async with lab.parts.database.transaction() as connection:
            await connection.execute(text("DELETE FROM audit_log"))
    assert await ages(lab, audit_log) == [89]


async def test_the_worker_removes_them_as_the_restricted_role(
    owner_url: str, application: asyncpg.Connection[Any]
) -> None:
    settings = development_settings(
        database_url=owner_url.replace("payments_owner@", f"{ROLE}@"), stripe_url="http://127.0.0.1:1"
    )
    database = Database.from_settings(settings.database)
    work = settings.work
    assert await remove_old(database, outbox, days=work.outbox_retention_days, now=NOW, limit=100) == 4
    assert await remove_old(database, audit_log, days=work.audit_retention_days, now=NOW, limit=100) == 2
    await database.close()
    assert [row["seq"] for row in await application.fetch("SELECT seq FROM outbox ORDER BY seq")] == [-4, -3, -2, -1]
    left = await application.fetch("SELECT * FROM audit_log ORDER BY seq")
    assert [row["seq"] for row in left][:6] == [-6, -5, -4, -3, -2, -1]
    assert left[-1]["action"] == "audit_log.remove"
    assert left[-1]["database_role"] == ROLE


async def test_the_role_removes_nothing_younger_whatever_it_asks_for(application: asyncpg.Connection[Any]) -> None:
    tomorrow = NOW + timedelta(days=1)
    removed = [await application.fetchval(f"SELECT {name}($1, 1000)", tomorrow) for name in FUNCTIONS]
    assert removed == [4, 6]
    recent = [
        row["seq"] for row in await application.fetch("SELECT seq FROM audit_log WHERE action = 'b' ORDER BY seq")
    ]
    assert recent == [-4, -3, -2, -1]
    assert [row["seq"] for row in await application.fetch("SELECT seq FROM outbox ORDER BY seq")] == [-2, -1]


@pytest.mark.parametrize("table", ["audit_log", "outbox"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {} WHERE seq = -8", "UPDATE {} SET object_id = 'x' WHERE seq = -8", "TRUNCATE {}"]
)
async def test_the_role_has_no_other_way(application: asyncpg.Connection[Any], table: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(statement.format(table))


async def test_nobody_else_may_call_the_functions(application: asyncpg.Connection[Any]) -> None:
    for name in FUNCTIONS:
        (grantees,) = await application.fetch("SELECT proacl::text FROM pg_proc WHERE proname = $1", name)
        assert grantees["proacl"] == f"{{payments_owner=X/payments_owner,{ROLE}=X/payments_owner}}"
        (config,) = await application.fetch("SELECT proconfig FROM pg_proc WHERE proname = $1", name)
        assert config["proconfig"] == ["search_path=pg_catalog, public, pg_temp"]
