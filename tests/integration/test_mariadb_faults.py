"""Faults of a real MariaDB: each is told as one that passes, which is answered 503, and nothing is left behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from tests.servers.stack import development_settings, migrate

from payment_service.storage.database import Database, is_busy, is_collision, is_lock_timeout, is_unavailable
from payment_service.storage.tables import cursors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection
    from tests.servers.mariadb import MariaDBServer

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LOGIN, PASSWORD = "payments_faulted", "mariadb-fault-password"


@pytest.fixture(scope="module")
def url(mariadb_server: MariaDBServer) -> str:
    """The address of a migrated database, by a login that `read_only` holds for."""
    made = mariadb_server.new_database()
    migrate(made)
    name = made.rpartition("/")[2]
    mariadb_server.execute(f"CREATE OR REPLACE USER {LOGIN}@'%' IDENTIFIED BY '{PASSWORD}'")
    mariadb_server.execute(f"GRANT ALL ON {name}.* TO {LOGIN}@'%'")
    return mariadb_server.url(name, user=LOGIN, password=PASSWORD)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    settings = development_settings(
        database_url=url, stripe_url="http://127.0.0.1:1", PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS="1"
    )
    made = Database.from_settings(settings.database)
    async with made.transaction() as connection:
        await connection.execute(cursors.delete())
        for name in ("a", "b"):
            await connection.execute(insert(cursors), {"name": name, "value": {}, "updated_at": NOW})
    yield made
    await made.close()


async def lock(connection: AsyncConnection, name: str) -> None:
    await connection.execute(select(cursors).where(cursors.c.name == name).with_for_update())


async def test_a_lock_that_is_held_too_long_is_busy(database: Database) -> None:
    async with database.transaction() as holding:
        await lock(holding, "a")
        with pytest.raises(DBAPIError) as refused:
            async with database.transaction() as waiting:
                await lock(waiting, "a")
    assert all(told(refused.value) for told in (is_lock_timeout, is_busy, is_unavailable))


async def test_of_two_that_deadlock_one_is_busy_and_the_other_goes_on(database: Database) -> None:
    both = asyncio.Barrier(2)

    async def take(first: str, second: str) -> None:
        async with database.transaction() as connection:
            await lock(connection, first)
            await both.wait()
            await lock(connection, second)

    (failed,) = filter(None, await asyncio.gather(take("a", "b"), take("b", "a"), return_exceptions=True))
    assert isinstance(failed, DBAPIError)
    assert is_busy(failed)
    assert is_collision(failed)
    assert not is_lock_timeout(failed)


async def test_a_killed_connection_is_unavailable_and_the_next_is_another(
    database: Database, mariadb_server: MariaDBServer
) -> None:
    async def be_killed() -> None:
        async with database.transaction() as connection:
            number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
            mariadb_server.execute(f"KILL CONNECTION {number}")
            await lock(connection, "a")

    with pytest.raises(DBAPIError) as refused:
        await be_killed()
    assert is_unavailable(refused.value)
    async with database.transaction() as connection:
        await lock(connection, "a")


async def test_a_connection_that_the_server_has_ended_meanwhile_is_not_handed_out(
    database: Database, mariadb_server: MariaDBServer
) -> None:
    async with database.transaction() as connection:
        number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
    mariadb_server.execute(f"KILL CONNECTION {number}")
    await asyncio.sleep(0.5)
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one() != number


async def test_a_server_that_became_read_only_is_left_until_it_takes_writes(
    database: Database, mariadb_server: MariaDBServer
) -> None:
    mariadb_server.execute("SET GLOBAL read_only = 1")
    try:
        for _ in range(2):  # the connection there was, and a new one
            with pytest.raises(Exception, match=r"read-only|takes no writes") as refused:
                async with database.transaction() as connection:
                    await connection.execute(cursors.delete())
            assert is_unavailable(refused.value)
    finally:
        mariadb_server.execute("SET GLOBAL read_only = 0")
    async with database.transaction() as connection:
        assert (await connection.execute(cursors.delete())).rowcount == 2
