"""A short storm; `make soak` makes fifty kills."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.soak.storm import storm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.postgres import PostgresServer

KILLS = 8


@pytest.mark.timeout(600)
async def test_a_storm_of_kills_loses_nothing_and_charges_nobody_twice(
    own_postgres_server: PostgresServer, durable_url: str, tmp_path: Path
) -> None:
    async with storm(own_postgres_server, durable_url, tmp_path, seed_of_chance=random.randrange(2**32)) as running:
        await running.rage(KILLS)
        books = await running.books()
    print(books)  # noqa: T201 - the numbers that the storm is for
    assert {name: found for name, found in books.items() if isinstance(found, list) and found} == {}
    assert books["requests answered"] > KILLS
    assert books["events acknowledged"] > KILLS
