"""What one caller may have under way at once, beside others who are served: counted while the database stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from sqlalchemy import event as listen
from tests.servers.events import deliver
from tests.servers.stack import running_stack

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_admin, create_app
from payment_service.config.secrets import Secret
from payment_service.observability import metrics
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.servers.stack import Stack

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

LIMIT = 5
FLOOD = 60
SLOW = "/api/v1/subscriptions"
OTHER = "/api/v1/customers?reference=nobody"
TOKEN = "the-admin-token-0123456789"
PATIENT = {"PAYMENTS_DATABASE_LOCK_TIMEOUT_SECONDS": "120", "PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS": "120"}


@pytest.fixture
async def stack(database_url: str) -> AsyncIterator[Stack]:
    """The service with a bound of 5 and statements that wait for locks."""
    async with running_stack(database_url, PAYMENTS_REQUESTS_IN_FLIGHT=str(LIMIT), **PATIENT) as running:
        yield running


def client_of(application: Any, *, address: str = "203.0.113.7") -> httpx.AsyncClient:
    """A client that waits."""
    transport = httpx.ASGITransport(app=application, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://api", timeout=None)


@asynccontextmanager
async def production(stack: Stack, *principals: str) -> AsyncIterator[tuple[httpx.AsyncClient, list[dict[str, str]]]]:
    """The service as production runs it, and the header with a new API key of each principal."""
    parts = stack.parts
    parts.settings = replace(parts.settings, environment="production")
    parts.access = Access(parts.settings, parts.database, clock=stack.clock)
    keys = ApiKeys(parts.settings, parts.database, clock=stack.clock)
    made = [(await keys.create(principal, scope="read", days=None, actor="cli:test"))[0] for principal in principals]
    headers = [{"Authorization": f"Bearer {key}"} for key in made]
    async with client_of(create_app(parts)) as client:
        for each in headers:  # their look-up is remembered from here on
            assert (await client.get(SLOW, headers=each)).status_code == 200
        yield client, headers


@asynccontextmanager
async def held(url: str, table: str) -> AsyncIterator[None]:
    """Let nobody read a table for as long as the block lasts."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def answered(sent: Sequence[asyncio.Task[httpx.Response]], count: int) -> None:
    """Wait until so many have their answer."""
    async with asyncio.timeout(60):
        while sum(task.done() for task in sent) < count:  # noqa: ASYNC110 - tasks tell nobody how many are done
            await asyncio.sleep(0.02)


def refused(kind: str) -> float:
    return metrics.REGISTRY.get_sample_value("payments_in_flight_refused_total", {"kind": kind}) or 0.0


async def test_a_flood_of_one_key_is_refused_beyond_its_share_and_costs_the_others_nothing(
    stack: Stack, database_url: str
) -> None:
    before = refused("key")
    async with production(stack, "flooding", "good") as (client, (flooding, good)):
        async with held(database_url, "subscriptions"):
            flood = [asyncio.create_task(client.get(SLOW, headers=flooding)) for _ in range(FLOOD)]
            await answered(flood, FLOOD - LIMIT)
            beside = [(await client.get(OTHER, headers=good)).status_code for _ in range(20)]
            waiting = [task for task in flood if not task.done()]
            answers = [task.result() for task in flood if task.done()]
        assert beside == [200] * 20
        assert len(waiting) == LIMIT
        assert Counter(answer.json()["code"] for answer in answers) == {"too_many_in_flight": FLOOD - LIMIT}
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(429, "1")}
        assert {(await task).status_code for task in waiting} == {200}
        assert refused("key") - before == FLOOD - LIMIT
        assert (await client.get(SLOW, headers=flooding)).status_code == 200


async def test_two_keys_of_a_principal_have_one_share(stack: Stack, database_url: str) -> None:
    async with production(stack, "shop", "shop") as (client, (first, second)):
        async with held(database_url, "subscriptions"):
            flood = [asyncio.create_task(client.get(SLOW, headers=first)) for _ in range(LIMIT + 1)]
            await answered(flood, 1)
            assert (await client.get(OTHER, headers=second)).status_code == 429
        assert Counter([(await task).status_code for task in flood]) == {200: LIMIT, 429: 1}


async def test_without_a_key_the_address_counts(stack: Stack, database_url: str) -> None:
    application = create_app(stack.parts)
    async with client_of(application) as one, client_of(application, address="203.0.113.8") as other:
        async with held(database_url, "subscriptions"):
            flood = [asyncio.create_task(one.get(SLOW)) for _ in range(FLOOD)]
            await answered(flood, FLOOD - LIMIT)
            assert (await one.get(OTHER)).status_code == 429
            assert (await other.get(OTHER)).status_code == 200
        assert Counter([(await task).status_code for task in flood]) == {200: LIMIT, 429: FLOOD - LIMIT}


async def test_no_webhook_is_refused_because_there_are_many(stack: Stack, database_url: str) -> None:
    async with held(database_url, "events"):
        sent = [asyncio.create_task(deliver(stack, f"evt_{number}")) for number in range(FLOOD)]
        _, waiting = await asyncio.wait(sent, timeout=0.5)
        assert len(waiting) == FLOOD
    assert {(await task).status_code for task in sent} == {200}
    assert len(await stack.rows(events)) == FLOOD


async def test_a_flood_with_the_admin_token_keeps_no_pod_from_draining(stack: Stack, database_url: str) -> None:
    parts = stack.parts
    http = replace(parts.settings.http, admin_token=Secret(TOKEN))
    parts.settings = replace(parts.settings, http=http)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with client_of(create_admin(parts, worker=False)) as client:
        async with held(database_url, "api_keys"):
            flood = [asyncio.create_task(client.get("/status", headers=headers)) for _ in range(FLOOD)]
            await answered(flood, FLOOD - LIMIT)
            assert (await client.put("/drain", json={"drain": True}, headers=headers)).status_code == 200
            assert (await client.get("/health/ready")).status_code == 200
        codes = Counter([(await task).status_code for task in flood])
    assert codes == {200: LIMIT, 429: FLOOD - LIMIT}


async def test_probes_that_come_at_once_are_one_look_at_the_database(stack: Stack) -> None:
    looks: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        looks.append(statement)

    stack.parts.health._schema_seen = (float("-inf"), None)
    async with client_of(create_app(stack.parts)) as client:
        listen.listen(stack.parts.database.engine.sync_engine, "before_cursor_execute", note)
        answers = await asyncio.gather(*(client.get("/health/ready") for _ in range(FLOOD)))
    assert {answer.status_code for answer in answers} == {200}
    assert len([statement for statement in looks if "schema_versions" in statement]) == 1
