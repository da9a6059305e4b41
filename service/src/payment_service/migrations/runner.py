"""Runs migrations under a lock: plan, expand, contract."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from alembic import command
from sqlalchemy import select

from payment_service.clock import Clock
from payment_service.migrations.history import Migration, alembic_config, history
from payment_service.migrations.lint import lint
from payment_service.migrations.support import APPLICATION_SCHEMA
from payment_service.storage import dialects
from payment_service.storage.database import create_engine
from payment_service.storage.tables import schema_versions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.config.settings import DatabaseSettings

LOCK_KEY: Final = 0x6C70_6D69_6772  # "lpmigr": one key for every run against a database
LOCK_WAIT_SECONDS: Final = 30.0
LOCK_POLL_SECONDS: Final = 0.25


class MigrationRefused(Exception):
    """The migration was not run. `exit_code` is the command's: see docs/contracts.md."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Plan(NamedTuple):
    """What `payments migrate` would do."""

    current: int
    target: int
    pending: tuple[Migration, ...]
    runnable: tuple[Migration, ...]
    sql: str
    findings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the plan in JSON types."""
        return {
            "current": self.current,
            "target": self.target,
            "pending": [{"number": m.number, "phase": m.phase, "summary": m.summary} for m in self.pending],
            "runnable": [m.number for m in self.runnable],
            "findings": list(self.findings),
            "sql": self.sql,
        }


@asynccontextmanager
async def locked_connection(settings: DatabaseSettings) -> AsyncIterator[AsyncConnection]:
    """Connect as the owner and hold the migration lock.

    Raises:
        MigrationRefused: with exit code 3 when another run holds the lock for longer than `LOCK_WAIT_SECONDS`.
    """
    url = settings.migration_url or settings.url
    engine = create_engine(url, settings=settings, application_name="payments-migrate", pool_size=1)
    try:
        dialect = dialects.named(engine.dialect.name)
        async with dialect.migration_lock(engine, key=LOCK_KEY, until_taken=_until_taken) as connection:
            yield connection
    finally:
        await engine.dispose()


async def _until_taken(take: Callable[[], Awaitable[bool]]) -> None:
    deadline = asyncio.get_running_loop().time() + LOCK_WAIT_SECONDS
    while not await take():
        if asyncio.get_running_loop().time() > deadline:
            raise MigrationRefused("another migration is running: the lock is held; try again later", exit_code=3)
        await asyncio.sleep(LOCK_POLL_SECONDS)


async def current_numbers(connection: AsyncConnection) -> tuple[int, int]:
    """Return the database's schema number and the oldest application it supports; (0, 0) for an empty database."""
    exists = await connection.run_sync(lambda sync: sync.dialect.has_table(sync, "schema_versions"))
    if not exists:
        await connection.commit()
        return (0, 0)
    rows = (await connection.execute(select(schema_versions.c.number, schema_versions.c.oldest_application))).all()
    await connection.commit()
    return max((row[0] for row in rows), default=0), max((row[1] for row in rows), default=0)


async def make_plan(connection: AsyncConnection, *, contract: bool) -> Plan:
    """Compare the database with this image's history.

    Raises:
        MigrationRefused: with exit code 5 when the database no longer supports this image.
    """
    current, oldest = await current_numbers(connection)
    if oldest > APPLICATION_SCHEMA:
        raise MigrationRefused(
            f"the database (schema {current}) supports applications from schema {oldest} on, this image has "
            f"{APPLICATION_SCHEMA}; use a newer image",
            exit_code=5,
        )
    pending = tuple(migration for migration in history() if migration.number > current)
    runnable = choose(pending, contract=contract, empty=current == 0)
    sql = await asyncio.to_thread(offline_sql, runnable) if runnable else ""
    findings = lint(
        {migration.number: offline_sql((migration,)) for migration in runnable if migration.phase == "expand"}
    )
    return Plan(
        current=current,
        target=runnable[-1].number if runnable else current,
        pending=pending,
        runnable=runnable,
        sql=sql,
        findings=findings if current else (),
    )


def choose(pending: tuple[Migration, ...], *, contract: bool, empty: bool) -> tuple[Migration, ...]:
    """Return which of the pending migrations may run now: expand ones up to the first contract one, or all.

    A database that is empty has no older application to protect, so everything runs.
    """
    if contract or empty:
        return pending
    runnable: list[Migration] = []
    for migration in pending:
        if migration.phase == "contract":
            break
        runnable.append(migration)
    return tuple(runnable)


def blocked(plan: Plan) -> bool:
    """Tell whether an expand migration waits behind a contract one."""
    left = plan.pending[len(plan.runnable) :]
    return any(migration.phase == "expand" for migration in left)


async def run_migrations(connection: AsyncConnection, *, contract: bool) -> Plan:
    """Run what the plan allows.

    Raises:
        MigrationRefused: 4 a destructive statement in an expand migration; 5 see `make_plan`; 6 an expand migration
            stands behind a pending contract one.
    """
    plan = await make_plan(connection, contract=contract)
    if plan.findings:
        raise MigrationRefused("; ".join(plan.findings), exit_code=4)
    if blocked(plan):
        raise MigrationRefused("a contract migration must run first: payments migrate --contract", exit_code=6)
    if plan.runnable:
        at_once = dialects.dialect_of(connection).rolls_back_tables
        await (_upgrade_at_once if at_once else _upgrade_by_statements)(connection, plan)
    return plan


async def _upgrade_at_once(connection: AsyncConnection, plan: Plan) -> None:
    await connection.run_sync(_upgrade, plan.runnable[-1].revision)
    await connection.commit()


async def _upgrade_by_statements(connection: AsyncConnection, plan: Plan) -> None:
    from payment_service.migrations import mysql_schema  # noqa: PLC0415 - loads 6 MB that no other database needs

    await mysql_schema.carry_out(connection, plan.runnable, now=Clock().now())


def _upgrade(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def offline_sql(migrations: tuple[Migration, ...]) -> str:
    """Return the SQL of these consecutive migrations, for PostgreSQL."""
    previous = [m.revision for m in history() if m.number == migrations[0].number - 1]
    config = alembic_config()
    config.output_buffer = buffer = io.StringIO()
    command.upgrade(config, f"{previous[0] if previous else 'base'}:{migrations[-1].revision}", sql=True)
    return buffer.getvalue().strip()
