"""PostgreSQL has said that it ends a connection whose socket is not closed yet: not available, and anew next time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from sqlalchemy import func, literal, select
from sqlalchemy.exc import InternalError
from tests.servers.events import event_row
from tests.servers.relay import LateRelay
from tests.servers.stack import development_settings, migrate_async

from payment_service.events.insert_lane import InsertLane
from payment_service.http.failures import to_problem
from payment_service.storage.database import Database, is_unavailable
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.servers.postgres import PostgresServer

NO_STRIPE = "http://127.0.0.1:1"


@pytest.fixture
async def relay(own_postgres_server: PostgresServer) -> AsyncIterator[LateRelay]:
    async with LateRelay(own_postgres_server.port) as made:
        yield made


@pytest.fixture
async def database(own_postgres_server: PostgresServer, relay: LateRelay) -> AsyncIterator[Database]:
    url = own_postgres_server.new_database()
    await migrate_async(development_settings(database_url=url, stripe_url=NO_STRIPE))
    relayed = url.replace(f":{own_postgres_server.port}/", f":{relay.port}/")
    made = Database.from_settings(development_settings(database_url=relayed, stripe_url=NO_STRIPE).database)
    yield made
    await made.close()


async def insert_an_event(database: Database) -> None:
    await InsertLane(database).insert(event_row(1))


async def read(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(select(func.count()).select_from(events))


async def write(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(events.delete())


@pytest.mark.parametrize("use", [insert_an_event, read, write])
async def test_between_the_last_words_and_the_closed_socket_the_answer_is_503_and_the_next_use_works(
    database: Database, own_postgres_server: PostgresServer, use: Callable[[Database], Awaitable[None]]
) -> None:
    await use(database)
    own_postgres_server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%' AND pid <> pg_backend_pid()"
    )
    await asyncio.sleep(0.2)
    with pytest.raises((asyncpg.InternalClientError, InternalError), match="another operation") as caught:
        await use(database)
    assert to_problem(caught.value).status == 503
    await use(database)


async def test_a_value_that_the_driver_cannot_send_is_no_outage(database: Database) -> None:
    """The driver's error is of the same tree as that of a lost connection."""
    with pytest.raises(Exception, match="invalid input for query argument") as caught:
        await _select(database, 2**70)
    assert not is_unavailable(caught.value)


async def _select(database: Database, number: int) -> None:
    async with database.read() as connection:
        await connection.execute(select(literal(number)))
