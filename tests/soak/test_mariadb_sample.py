"""A few kills on MariaDB; `make soak ONLY=mariadb` makes fifty there, and has the whole crash matrix."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.requirements import require
from tests.servers.mariadb import DURABLE, PROGRAM, MariaDBServer
from tests.servers.stack import migrate
from tests.soak.crash import crashes
from tests.soak.matrix import CASES, every_trial, run_trials
from tests.soak.storm import storm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = 3
TRIALS = 8


@pytest.fixture
def durable() -> Iterator[MariaDBServer]:
    """A server of the test's own, to kill."""
    require(PROGRAM.exists(), what="MariaDB", command="apt-get install mariadb-server-core mariadb-client")
    made = MariaDBServer(settings=DURABLE)
    made.create()
    made.start()
    yield made
    made.remove()


@pytest.mark.timeout(600)
async def test_a_storm_on_mariadb_loses_nothing_and_charges_nobody_twice(
    durable: MariaDBServer, stormy_url: str, tmp_path: Path
) -> None:
    async with storm(durable, stormy_url, tmp_path, seed_of_chance=random.randrange(2**32)) as running:
        await running._kill("database")
        await running.rage(KILLS)
        books = await running.books()
    print(books)  # noqa: T201 - the numbers that the storm is for
    assert {name: found for name, found in books.items() if isinstance(found, list) and found} == {}
    assert books["requests answered"] > KILLS
    assert books["kills"]["database"] >= 1


@pytest.mark.timeout(600)
async def test_a_process_that_dies_at_an_await_on_mariadb_charges_once_and_leaves_nothing_unfinished(
    mariadb_server: MariaDBServer,
) -> None:
    url = mariadb_server.new_database()
    await asyncio.to_thread(migrate, url)
    async with crashes(url) as running:
        trials = random.sample(await every_trial(running, random.sample(CASES, 1)), TRIALS)
        outcome = await run_trials(running, trials)
    assert outcome.failures == {}
    assert outcome.deaths > TRIALS / 2


@pytest.fixture
def stormy_url(durable: MariaDBServer) -> str:
    """A migrated database on the durable server."""
    url = durable.new_database()
    migrate(url)
    return url
