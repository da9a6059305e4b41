"""Two transactions that deadlock: the one that was rolled back is begun anew, and both are done."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError
from tests.servers.stack import development_settings

from payment_service.storage.collisions import TRIES, repeat_collided
from payment_service.storage.database import Database, is_collision
from payment_service.storage.tables import cursors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database.from_settings(
        development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1").database
    )
    async with made.transaction() as connection:
        for name in ("a", "b"):
            await connection.execute(insert(cursors), {"name": name, "value": [], "updated_at": NOW})
    yield made
    await made.close()


async def add(connection: AsyncConnection, name: str, word: str) -> None:
    """Append a word to a row, as read under its lock."""
    row = (await connection.execute(select(cursors).where(cursors.c.name == name).with_for_update())).one()
    await connection.execute(update(cursors).where(cursors.c.name == name).values(value=[*row.value, word]))


async def test_both_of_two_that_deadlock_are_done_once(database: Database) -> None:
    both, begun = asyncio.Barrier(2), []

    async def write(word: str, first: str, second: str) -> None:
        alone = word in begun
        begun.append(word)
        async with database.transaction() as connection:
            await add(connection, first, word)
            if not alone:
                await both.wait()
            await add(connection, second, word)

    await asyncio.gather(
        repeat_collided(lambda: write("x", "a", "b")),
        repeat_collided(lambda: write("y", "b", "a")),
    )
    assert sorted(begun) in (["x", "x", "y"], ["x", "y", "y"])
    async with database.read() as connection:
        values = (await connection.execute(select(cursors.c.value))).scalars().all()
    assert [sorted(value) for value in values] == [["x", "y"], ["x", "y"]]


async def test_who_collides_with_everyone_is_told_so_in_the_end(database: Database) -> None:
    tries = []

    async def lose() -> None:
        both = asyncio.Barrier(2)

        async def hold(first: str, second: str) -> None:
            async with database.transaction() as connection:
                await add(connection, first, "x")
                await both.wait()
                await add(connection, second, "x")

        tries.append(1)
        (lost,) = filter(None, await asyncio.gather(hold("a", "b"), hold("b", "a"), return_exceptions=True))
        raise lost

    with pytest.raises(DBAPIError) as told:
        await repeat_collided(lose)
    assert is_collision(told.value)
    assert len(tries) == TRIES


async def test_what_is_no_collision_is_not_tried_again(database: Database) -> None:
    tries = []

    async def repeat_a_name() -> None:
        tries.append(1)
        async with database.transaction() as connection:
            await connection.execute(insert(cursors), {"name": "a", "value": [], "updated_at": NOW})

    with pytest.raises(DBAPIError):
        await repeat_collided(repeat_a_name)
    assert len(tries) == 1
