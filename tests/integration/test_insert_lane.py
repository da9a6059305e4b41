"""Events inserted in batches, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from tests.servers.events import event_row as row
from tests.servers.stack import development_settings, migrate_async

from payment_service.events import insert_lane
from payment_service.events.insert_lane import InsertLane, QueueFull
from payment_service.storage.database import Database
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import PostgresServer


@pytest.fixture
async def database(own_postgres_server: PostgresServer) -> AsyncIterator[Database]:
    settings = development_settings(database_url=own_postgres_server.new_database(), stripe_url="http://127.0.0.1:1")
    await migrate_async(settings)
    made = Database.from_settings(settings.database)
    yield made
    await made.close()


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(events))).scalar_one())


async def test_a_lone_event_is_inserted(database: Database) -> None:
    await InsertLane(database).insert(row(1))
    assert await count(database) == 1


async def test_many_at_once_are_all_inserted_once_in_few_transactions(database: Database) -> None:
    inserting = InsertLane(database)
    transactions = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    async with database.read() as connection:
        before = (await connection.execute(transactions)).scalar_one()
    await asyncio.gather(*(inserting.insert(row(number % 500)) for number in range(1000)))
    assert await count(database) == 500
    await asyncio.sleep(1.1)
    async with database.read() as connection:
        await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        after = (await connection.execute(transactions)).scalar_one()
    assert after - before < 50


async def test_a_row_that_the_database_refuses_does_not_take_others_with_it(database: Database) -> None:
    inserting = InsertLane(database)
    bad = row(3, type="nul \x00 byte")
    results = await asyncio.gather(
        *(inserting.insert(each) for each in (row(1), row(2), bad, row(4))), return_exceptions=True
    )
    assert [isinstance(result, Exception) for result in results] == [False, False, True, False]
    assert await count(database) == 3


async def test_a_dead_event_that_comes_again_is_armed_again(database: Database) -> None:
    inserting = InsertLane(database)
    await inserting.insert(row(1, state="dead", attempts=12))
    await inserting.insert(row(1))
    async with database.read() as connection:
        found = (await connection.execute(select(events.c.state, events.c.attempts))).one()
    assert tuple(found) == ("pending", 0)


async def test_an_applied_event_that_comes_again_stays_applied(database: Database) -> None:
    inserting = InsertLane(database)
    await inserting.insert(row(1, state="applied"))
    await inserting.insert(row(1))
    async with database.read() as connection:
        assert (await connection.execute(select(events.c.state))).scalar_one() == "applied"


async def test_an_event_is_never_acknowledged_while_the_database_is_away(
    database: Database, own_postgres_server: PostgresServer
) -> None:
    inserting = InsertLane(database)
    await inserting.insert(row(1))
    own_postgres_server.stop()
    results = await asyncio.gather(*(inserting.insert(row(number)) for number in (2, 3)), return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    own_postgres_server.start()
    await inserting.insert(row(4))
    assert await count(database) == 2


async def test_what_was_acknowledged_survives_a_kill_of_the_server(
    database: Database, own_postgres_server: PostgresServer
) -> None:
    inserting = InsertLane(database)
    acknowledged: list[int] = []

    async def send(number: int) -> None:
        try:
            await inserting.insert(row(number))
        except Exception:  # noqa: BLE001 - not acknowledged
            return
        acknowledged.append(number)

    sending = asyncio.gather(*(send(number) for number in range(1500)))
    while len(acknowledged) < 200:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    await asyncio.to_thread(own_postgres_server.kill)
    await sending
    await asyncio.to_thread(own_postgres_server.start)
    async with database.read() as connection:
        stored = {row.id for row in await connection.execute(select(events.c.id))}
    assert {f"evt_{number}" for number in acknowledged} <= stored


async def test_a_full_queue_refuses_instead_of_growing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insert_lane, "MAXIMUM_QUEUED", 5)
    inserting = InsertLane(database)
    results = await asyncio.gather(*(inserting.insert(row(number)) for number in range(20)), return_exceptions=True)
    assert sum(isinstance(result, QueueFull) for result in results) > 0
    assert await count(database) == sum(result is None for result in results)
