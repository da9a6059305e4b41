"""Migrations on a real MariaDB: killed anywhere, from the oldest schema there, and as PostgreSQL's are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Inspector, event, inspect
from tests.servers.stack import development_settings, migrate

from payment_service.migrations import mysql_schema
from payment_service.migrations.history import history
from payment_service.migrations.runner import current_numbers, locked_connection
from payment_service.migrations.support import APPLICATION_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection
    from tests.servers.mariadb import MariaDBServer
    from tests.servers.postgres import PostgresServer

NOW: Final = datetime(2026, 11, 29, 12, tzinfo=UTC)
OLDEST: Final = Path(__file__).parents[1] / "data" / "mariadb-19.sql"
"""The oldest schema that a MariaDB can have, from before later migrations: never written anew."""
ONLY_THERE: Final = {"holds_slot"}
"""A generated column, where PostgreSQL has a partial index."""


class Killed(Exception):
    """The process is gone before a statement."""


def run(url: str, work: Callable[[AsyncConnection], Any]) -> Any:
    async def go() -> Any:
        settings = development_settings(database_url=url, stripe_url="http://127.0.0.1:1")
        async with locked_connection(settings.database) as connection:
            return await work(connection)

    return asyncio.run(go())


def described(inspector: Inspector) -> dict[str, Any]:
    """Return what databases are to have in common: columns, whether they may be null, keys and unique keys."""
    found = {}
    for table in inspector.get_table_names():
        unique: list[Sequence[str | None]] = [key["column_names"] for key in inspector.get_unique_constraints(table)]
        unique += [index["column_names"] for index in inspector.get_indexes(table) if index["unique"]]
        found[table] = (
            {c["name"]: c["nullable"] for c in inspector.get_columns(table) if c["name"] not in ONLY_THERE},
            inspector.get_pk_constraint(table)["constrained_columns"],
            {tuple(name for name in columns if name not in ONLY_THERE) for columns in unique},
        )
    return found


def description(url: str) -> dict[str, Any]:
    async def look(connection: AsyncConnection) -> Any:
        return await connection.run_sync(lambda sync: described(inspect(sync)))

    found: dict[str, Any] = run(url, look)
    return found


async def upgrade(connection: AsyncConnection, begun: set[str]) -> bool:
    """Carry out the migrations, but be killed before the first statement that is not `begun`; tell whether all ran."""

    def kill(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement not in begun:
            begun.add(statement)
            raise Killed

    engine = connection.engine.sync_engine
    event.listen(engine, "before_cursor_execute", kill)
    try:
        await mysql_schema.carry_out(connection, history(), now=NOW)
    except Killed:
        await connection.rollback()
        return False
    finally:
        event.remove(engine, "before_cursor_execute", kill)
    return True


def test_a_run_that_is_killed_before_any_statement_is_finished_by_the_next(mariadb_server: MariaDBServer) -> None:
    async def kill_everywhere(connection: AsyncConnection) -> int:
        begun: set[str] = set()
        while not await upgrade(connection, begun):
            assert await current_numbers(connection) == (0, 0)
        assert await current_numbers(connection) == (APPLICATION_SCHEMA, 1)
        return len(begun)

    killed, whole = mariadb_server.new_database(), mariadb_server.new_database()
    assert run(killed, kill_everywhere) > len(list(mysql_schema.statements({}, history())))
    migrate(whole)
    assert structure(mariadb_server, killed) == structure(mariadb_server, whole)


def test_migrating_again_changes_nothing(mariadb_server: MariaDBServer) -> None:
    url = mariadb_server.new_database()
    migrate(url)
    before = structure(mariadb_server, url)
    migrate(url)
    assert structure(mariadb_server, url) == before


def test_the_oldest_schema_there_becomes_what_an_empty_database_gets(mariadb_server: MariaDBServer) -> None:
    old, new = mariadb_server.new_database(), mariadb_server.new_database()
    mariadb_server.execute(OLDEST.read_text(encoding="utf-8"), database=old.rpartition("/")[2])
    migrate(old)
    migrate(new)
    assert structure(mariadb_server, old) == structure(mariadb_server, new)


def test_the_tables_are_those_that_postgresqls_migrations_make(
    mariadb_server: MariaDBServer, postgres_server: PostgresServer
) -> None:
    urls = mariadb_server.new_database(), postgres_server.new_database()
    for url in urls:
        migrate(url)
    found, wanted = map(description, urls)
    assert found == wanted


def structure(server: MariaDBServer, url: str) -> set[str]:
    """Return columns, indexes and triggers of a database, in no order."""
    name = url.rpartition("/")[2]
    queries = {
        "columns": "table_name, column_name, column_type, is_nullable, column_default, collation_name",
        "statistics": "table_name, index_name, non_unique, seq_in_index, column_name",
        "triggers": "event_object_table, trigger_name, action_timing, event_manipulation, MD5(action_statement)",
    }
    found: set[str] = set()
    for kind, listed in queries.items():
        owner = "trigger_schema" if kind == "triggers" else "table_schema"
        found |= set(
            server.execute(f"SELECT {listed} FROM information_schema.{kind} WHERE {owner} = '{name}'").split("\n")
        )
    return found
