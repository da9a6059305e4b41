"""Connections and time that one process takes of PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.servers.stack import development_settings, running_stack

from payment_service.config.settings import Settings
from payment_service.errors import ServiceUnavailable
from payment_service.http.failures import to_problem
from payment_service.storage.database import Database

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer

PODS = 10
WORKERS = 2
SERVERS_DEFAULT = 100


def database_of(server: PostgresServer, **changes: str) -> Database:
    settings = development_settings(database_url=server.new_database(), stripe_url="http://127.0.0.1:1", **changes)
    return Database.from_settings(settings.database)


def test_the_default_pools_of_ten_pods_and_two_workers_fit_the_servers_default() -> None:
    pool = Settings.from_env({}).database.pool_size
    listeners = WORKERS
    assert 50 <= pool * (PODS + WORKERS) + listeners <= SERVERS_DEFAULT


async def test_a_process_takes_no_more_connections_than_its_pool(postgres_server: PostgresServer) -> None:
    database = database_of(postgres_server, PAYMENTS_DATABASE_POOL_SIZE="3")
    query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")

    async def ask() -> int:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(0.05)"))
            return int((await connection.execute(query)).scalar_one())

    counts = await asyncio.gather(*(ask() for _ in range(20)))
    assert max(counts) <= 3
    await database.close()


async def test_a_statement_that_takes_too_long_is_ended_and_answered_503(postgres_server: PostgresServer) -> None:
    database = database_of(postgres_server, PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS="0.3")
    with pytest.raises(TimeoutError) as caught:
        await _run(database, "SELECT pg_sleep(30)")
    assert isinstance(to_problem(caught.value), ServiceUnavailable)
    await _run(database, "SELECT 1")
    await database.close()


async def test_a_lock_that_takes_too_long_is_given_up_and_answered_503(postgres_server: PostgresServer) -> None:
    database = database_of(postgres_server, PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS="0.3")
    await _run(database, "CREATE TABLE one (n int)")
    async with database.transaction() as connection:
        await connection.execute(text("LOCK TABLE one"))
        with pytest.raises(Exception, match="lock timeout") as caught:
            await _run(database, "INSERT INTO one VALUES (1)")
    problem = to_problem(caught.value)
    assert isinstance(problem, ServiceUnavailable)
    assert problem.retry_after == 1
    await database.close()


async def test_the_victim_of_a_deadlock_is_answered_503(postgres_server: PostgresServer) -> None:
    database = database_of(postgres_server)
    await _run(database, "CREATE TABLE pair AS SELECT n FROM generate_series(1, 2) n")
    both_hold = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.transaction() as connection:
            await connection.execute(text(f"SELECT n FROM pair WHERE n = {first} FOR UPDATE"))
            await both_hold.wait()
            await connection.execute(text(f"SELECT n FROM pair WHERE n = {second} FOR UPDATE"))

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    (victim,) = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    problem = to_problem(victim)
    assert isinstance(problem, ServiceUnavailable)
    assert problem.retry_after == 1
    await database.close()


async def test_a_request_that_meets_a_locked_table_is_503_and_completed_when_it_is_asked_again(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    url = postgres_server.new_database(template=migrated_template)
    body, headers = {"email": "ada@example.com", "payment_method_id": "pm_card_visa"}, {"Idempotency-Key": "once"}
    async with running_stack(url, PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS="0.3") as stack:
        async with stack.parts.database.transaction() as connection:
            await connection.execute(text("LOCK TABLE subscriptions"))
            refused = await stack.create(headers=headers, **body)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        stack.clock.advance(60)
        assert (await stack.create(headers=headers, **body)).status_code == 201
        assert len(stack.charges()) == 1


async def _run(database: Database, statement: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement))
