"""Several hosts of MariaDB: the one that takes writes is found, and left when it takes them no more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.requirements import require
from tests.servers.mariadb import PROGRAM, MariaDBServer
from tests.servers.stack import development_settings

from payment_service.cli_settings import unfit_databases
from payment_service.http.server import listen
from payment_service.storage.database import Database, is_unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN, PASSWORD, NAME = "payments_many", "mariadb-hosts-password", "many_hosts"
MAKE = f"""
CREATE OR REPLACE DATABASE {NAME} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE {NAME}.written (number INT);
CREATE OR REPLACE USER {LOGIN}@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON {NAME}.* TO {LOGIN}@'%';
"""
WITHIN_SECONDS = 10.0
"""Two hosts have 2.5 s each."""


class Pair:
    """Two servers, of which one takes writes."""

    def __init__(self, primary: MariaDBServer, standby: MariaDBServer) -> None:
        self.primary = primary
        self.standby = standby

    def url(self, *ports: int) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports or (self.primary.port, self.standby.port))
        return f"mariadb://{LOGIN}:{PASSWORD}@{hosts}/{NAME}"

    def promote(self) -> None:
        """Let the other one take writes."""
        self.primary.execute("SET GLOBAL read_only = 1")
        self.standby.execute("SET GLOBAL read_only = 0")


@pytest.fixture(scope="module")
def second(mariadb_server: MariaDBServer) -> Iterator[MariaDBServer]:
    require(PROGRAM.exists(), what="MariaDB", command="apt-get install mariadb-server-core mariadb-client")
    made = MariaDBServer()
    made.create()
    made.start()
    for server in (mariadb_server, made):
        server.execute(MAKE)
    yield made
    made.remove()


@pytest.fixture
def pair(mariadb_server: MariaDBServer, second: MariaDBServer) -> Iterator[Pair]:
    second.execute("SET GLOBAL read_only = 1")
    yield Pair(mariadb_server, second)
    mariadb_server.execute("SET GLOBAL read_only = 0")


def connect(url: str, **more: str) -> Database:
    settings = development_settings(database_url=url, stripe_url="http://127.0.0.1:1", **more)
    return Database.from_settings(settings.database)


async def write(database: Database) -> int:
    """Write a row, and return the port of the server that took it."""
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO written VALUES (1)"))
        return int((await connection.execute(text("SELECT @@port"))).scalar_one())


async def write_at_last(database: Database) -> int:
    """Write, as a caller does who is told that it may try again."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            return await write(database)
        except Exception as error:
            if not is_unavailable(error) or time.monotonic() > deadline:
                raise


@pytest.mark.parametrize("turned", [False, True])
async def test_the_host_that_takes_writes_is_found_in_either_order(pair: Pair, *, turned: bool) -> None:
    ports = [pair.primary.port, pair.standby.port]
    database = connect(pair.url(*(ports[::-1] if turned else ports)))
    assert await write(database) == pair.primary.port
    await database.close()


async def test_what_was_promoted_is_found_and_its_former_primary_is_left(pair: Pair) -> None:
    database = connect(pair.url())
    assert await write(database) == pair.primary.port
    pair.promote()
    assert await write_at_last(database) == pair.standby.port
    await database.close()


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_primary_that_dies_or_freezes_is_left(pair: Pair, fault: str) -> None:
    pair.promote()
    database = connect(pair.url(), PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS="2")
    assert await write(database) == pair.standby.port
    pair.primary.execute("SET GLOBAL read_only = 0")
    getattr(pair.standby, fault)()
    try:
        assert await write_at_last(database) == pair.primary.port
        await database.close()
    finally:
        pair.standby.start() if fault == "kill" else pair.standby.resume()


async def test_a_host_that_says_nothing_does_not_hide_the_other(pair: Pair) -> None:
    silent = listen("127.0.0.1", 0)
    database = connect(pair.url(silent.getsockname()[1], pair.primary.port))
    started = time.monotonic()
    assert await write(database) == pair.primary.port
    assert time.monotonic() - started < WITHIN_SECONDS
    await database.close()
    silent.close()


async def test_reads_that_may_lag_are_the_replicas_while_there_is_one(pair: Pair) -> None:
    database = connect(pair.url(), DATABASE_REPLICA_URL=pair.url())

    async def port() -> int:
        async with database.read(may_lag=True) as connection:
            return int((await connection.execute(text("SELECT @@port"))).scalar_one())

    assert await port() == pair.standby.port
    await database.close()
    database = connect(pair.url(), DATABASE_REPLICA_URL=pair.url(pair.primary.port))
    assert await port() == pair.primary.port
    await database.close()


async def test_an_unfit_server_is_told_by_name_and_a_fit_one_is_silent(pair: Pair) -> None:
    unfit = "CREATE OR REPLACE DATABASE unfit CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;"
    pair.primary.execute(f"{unfit} GRANT ALL ON unfit.* TO {LOGIN}@'%'")
    fit, bad = pair.url(), pair.url(pair.primary.port).replace(NAME, "unfit")
    settings = development_settings(database_url=bad, stripe_url="http://127.0.0.1:1", DATABASE_MIGRATION_URL=fit)
    (said,) = await unfit_databases(settings)
    assert said.startswith("DATABASE_URL: the database's collation utf8mb4_general_ci")
    away = fit.replace(PASSWORD, "another-password")
    settings = development_settings(database_url=fit, stripe_url="http://127.0.0.1:1", DATABASE_REPLICA_URL=away)
    (said,) = await unfit_databases(settings)
    assert said.startswith("DATABASE_REPLICA_URL:")
    assert "Access denied" in said
    assert "another-password" not in said
