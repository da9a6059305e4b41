"""One caller's statements stand still, in as many requests as it may have: the others' go on to be answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from tests.servers.events import deliver
from tests.servers.stack import CREATE, PRICE, running_stack

from payment_service import shares
from payment_service.access.keys import ApiKeys
from payment_service.bootstrap import build, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer

    Send = Callable[[httpx.AsyncClient, dict[str, str], int], Any]

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

IN_FLIGHT = 32
POOL = 8
SHARE = 6
LIST = "/api/v1/subscriptions"
CUSTOMERS = "/api/v1/customers"
SETTINGS = {
    "PAYMENTS_REQUESTS_IN_FLIGHT": str(IN_FLIGHT),
    "PAYMENTS_DATABASE_POOL_SIZE": str(POOL),
    "PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS": "120",
    "PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS": "120",
}


@pytest.fixture
async def stack(database_url: str, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """The service as production sets it, with answers remembered, and patience for a crowded machine."""
    monkeypatch.setattr(shares, "PATIENCE_SECONDS", 120.0)
    async with running_stack(database_url, REDIS_URL=valkey.url, **SETTINGS) as running:
        yield running


@asynccontextmanager
async def callers(stack: Stack) -> AsyncIterator[tuple[Stack, dict[str, str], dict[str, str]]]:
    """A process of its own that only serves, by the rules of production, and the headers of two callers it has seen."""
    settings = replace(stack.parts.settings, environment="production")
    parts = build(settings, clock=stack.clock)
    keys = ApiKeys(settings, parts.database, clock=stack.clock)
    made = [(await keys.create(name, scope="write", days=None, actor="cli:test"))[0] for name in ("slow", "other")]
    slow, other = ({"Authorization": f"Bearer {key}"} for key in made)
    application: Any = create_app(parts)
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=None) as client:
        for headers in (slow, other):
            assert (await client.get(LIST, headers=headers)).status_code == 200
        yield replace(stack, parts=parts, client=client), slow, other
    await parts.close()


@asynccontextmanager
async def holding(url: str, statement: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Hold what a statement locks for as long as the block lasts."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield connection
    finally:
        await connection.close()


async def standing(connection: asyncpg.Connection[Any], count: int) -> None:
    """Wait until so many statements wait for a lock."""
    query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(60):
        while await connection.fetchval(query) < count:  # noqa: ASYNC110 - locks tell nobody
            await asyncio.sleep(0.02)


async def all_under_way(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Wait until this caller has as many requests under way as it may."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(f"{CUSTOMERS}?reference=nobody", headers=headers)
            if answer.status_code == 429:
                assert answer.json()["code"] == "too_many_in_flight"
                return


def lists(client: httpx.AsyncClient, headers: dict[str, str], _number: int) -> Any:
    return client.get(LIST, headers=headers)


def remembered_reads(client: httpx.AsyncClient, headers: dict[str, str], number: int) -> Any:
    return client.get(f"{LIST}/lps_{number}", headers=headers)


def creations(client: httpx.AsyncClient, headers: dict[str, str], number: int) -> Any:
    body = {"customer_reference": f"slow-{number}", "email": f"slow-{number}@example.com", "price_id": PRICE}
    return client.post(CREATE, json=body, headers=headers)


def same_customer(client: httpx.AsyncClient, headers: dict[str, str], _number: int) -> Any:
    return client.post(CUSTOMERS, json={"reference": "held"}, headers=headers)


SUBSCRIPTIONS = "LOCK TABLE subscriptions IN ACCESS EXCLUSIVE MODE"
OF_A_ROW = (
    "INSERT INTO customers (id, livemode, reference, metadata, origin, created_at, updated_at)"
    " VALUES ('lpc_held', false, 'held', '{}', 'api', now(), now())"
)


@pytest.mark.parametrize(
    ("send", "lock"),
    [
        pytest.param(lists, SUBSCRIPTIONS, id="lists"),
        pytest.param(remembered_reads, SUBSCRIPTIONS, id="reads that are remembered"),
        pytest.param(creations, SUBSCRIPTIONS, id="creations"),
        pytest.param(same_customer, OF_A_ROW, id="one row"),
    ],
)
async def test_one_callers_slow_statements_cost_the_others_nothing(
    stack: Stack, database_url: str, send: Send, lock: str
) -> None:
    async with callers(stack) as (serving, slow, other), asyncio.TaskGroup() as group:
        client = serving.client
        async with holding(database_url, lock) as connection:
            crowd = [group.create_task(send(client, slow, number)) for number in range(IN_FLIGHT)]
            await standing(connection, SHARE)
            await all_under_way(client, slow)
            beside = [await client.get(f"{CUSTOMERS}?reference=nobody", headers=other) for _ in range(10)]
            beside += await asyncio.gather(*(client.get(f"{CUSTOMERS}?limit=1", headers=other) for _ in range(20)))
            beside += [await deliver(serving, f"evt_{number}") for number in range(10)]
            beside.append(await client.get("/health/ready"))
            if lock == OF_A_ROW:  # while subscriptions are locked nobody can write customers: a trigger looks there
                beside += [await client.post(CUSTOMERS, json={"name": str(n)}, headers=other) for n in range(10)]
            assert {answer.status_code for answer in beside} <= {200, 201}
            assert not any(task.done() for task in crowd)
    assert max(task.result().status_code for task in crowd) < 500


async def test_what_several_wait_for_waits_in_nobodys_share(stack: Stack, database_url: str) -> None:
    async with callers(stack) as (serving, slow, other), asyncio.TaskGroup() as group:
        client = serving.client
        async with holding(database_url, OF_A_ROW) as connection:
            for number in range(SHARE):
                group.create_task(same_customer(client, slow, number))
            await standing(connection, SHARE)
            serving.parts.recovery._seen = (float("-inf"), None)  # the next who changes something looks for all
            behind = [group.create_task(send(client, slow, 1)) for send in (remembered_reads, same_customer)]
            for _ in range(100):
                await asyncio.sleep(0)
            assert (await remembered_reads(client, other, 1)).status_code == 404
            assert (await client.post(CUSTOMERS, json={"name": "Ada"}, headers=other)).status_code == 201
            assert not any(task.done() for task in behind)


async def test_who_waits_for_its_own_statements_too_long_is_refused_as_a_crowd(
    stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "PATIENCE_SECONDS", 0.2)
    async with callers(stack) as (serving, slow, other), asyncio.TaskGroup() as group:
        client = serving.client
        async with holding(database_url, SUBSCRIPTIONS):
            crowd = [group.create_task(client.get(LIST, headers=slow)) for _ in range(IN_FLIGHT)]
            async with asyncio.timeout(60):
                while sum(task.done() for task in crowd) < IN_FLIGHT - SHARE:  # noqa: ASYNC110 - tasks tell nobody
                    await asyncio.sleep(0.02)
            refused = [task.result() for task in crowd if task.done()]
            assert (await client.get(f"{CUSTOMERS}?reference=nobody", headers=other)).status_code == 200
    told = {(answer.status_code, answer.json()["code"], answer.headers["retry-after"]) for answer in refused}
    assert told == {(429, "too_many_in_flight", "1")}
    assert Counter(task.result().status_code for task in crowd) == {200: SHARE, 429: IN_FLIGHT - SHARE}
