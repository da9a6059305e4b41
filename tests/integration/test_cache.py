"""The read cache on a real Valkey, with two processes' worth of parts on one database."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.servers.stack import running_stack

from payment_service.bootstrap import Parts, build, create_app
from payment_service.caching import cache as cache_module
from payment_service.caching import circuit_breaker
from payment_service.caching.cache import ReadCache, shared_keys
from payment_service.observability.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import PostgresServer
    from tests.servers.stack import Stack
    from tests.servers.valkey import ValkeyServer

PATH = "/api/v1/subscriptions"
CARD = "pm_card_visa"
STALE_SECONDS = 1.0
SHIPPED_SECONDS = circuit_breaker.TIMEOUT_SECONDS


@pytest.fixture
async def pod(postgres_server: PostgresServer, migrated_template: str, valkey: ValkeyServer) -> AsyncIterator[Stack]:
    """A process that serves and works."""
    url = postgres_server.new_database(template=migrated_template)
    async with running_stack(url, REDIS_URL=valkey.url) as stack:
        yield stack


@asynccontextmanager
async def another(stack: Stack) -> AsyncIterator[tuple[Parts, httpx.AsyncClient]]:
    """A second process on the same database and Redis, which only serves."""
    parts = build(stack.parts.settings, clock=stack.clock)
    application: Any = create_app(parts)
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://second") as client:
        yield parts, client
    await parts.close()


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("payments_cache_requests_total", {"result": result}) or 0.0


async def made(stack: Stack) -> str:
    """Create a subscription and wait until its events are applied, so that nothing changes by itself any more."""
    answer = await stack.create(email="ada@example.com", payment_method_id=CARD)
    path = f"{PATH}/{answer.json()['id']}"
    await settled(stack)
    return path


async def settled(stack: Stack) -> None:
    """Wait until no event has come or waited for half a second."""
    query = "SELECT count(*), count(*) FILTER (WHERE state = 'pending') FROM events"
    seen, since = (-1, -1), time.monotonic()

    async def nothing_happens() -> bool:
        nonlocal seen, since
        async with stack.parts.database.read() as connection:
            now = (await connection.exec_driver_sql(query)).one()
        if tuple(now) != seen:
            seen, since = tuple(now), time.monotonic()
        return seen[0] > 0 and seen[1] == 0 and time.monotonic() - since > 0.5

    await stack.until(nothing_happens)


async def remembered(client: httpx.AsyncClient, path: str) -> None:
    """Read until the process answers from memory."""
    async with asyncio.timeout(20):
        while True:
            before = counted("hit")
            assert (await client.get(path)).status_code == 200
            if counted("hit") > before:
                return
            await asyncio.sleep(0.02)


async def longest_stale(client: httpx.AsyncClient, path: str, *, since: float) -> float:
    """Return how long after `since` a request began that was answered with the old state."""
    stale, fresh = 0.0, 0
    async with asyncio.timeout(30):
        while fresh < 5 or time.monotonic() - since < STALE_SECONDS:
            began = time.monotonic()
            if (await client.get(path)).json()["cancel_at_period_end"]:
                fresh += 1
            else:
                stale, fresh = max(stale, began - since), 0
            await asyncio.sleep(0.01)
    return stale


async def test_a_second_read_is_a_hit_and_says_the_same_as_the_application(pod: Stack) -> None:
    path = await made(pod)
    first = await pod.client.get(path)
    await remembered(pod.client, path)
    again = await pod.client.get(path)
    assert again.json() == first.json()
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"]
    assert again.headers["ratelimit"].startswith('"address"')
    listed = (await pod.client.get(PATH)).json()["data"][0]
    assert again.json() == listed
    metrics = (await pod.client.get("/metrics")).text
    assert 'route="/api/v1/subscriptions/{subscription_id}",status="200"' in metrics


async def test_a_change_is_seen_at_once_where_it_was_made(pod: Stack) -> None:
    path = await made(pod)
    await remembered(pod.client, path)
    assert (await pod.client.post(f"{path}/cancel", json={"at_period_end": True})).status_code == 200
    assert (await pod.client.get(path)).json()["cancel_at_period_end"] is True


async def test_a_change_in_one_process_is_seen_by_the_other_within_a_second(pod: Stack) -> None:
    path = await made(pod)
    async with another(pod) as (_, client):
        await remembered(client, path)
        await pod.client.post(f"{path}/cancel", json={"at_period_end": True})
        assert await longest_stale(client, path, since=time.monotonic()) <= STALE_SECONDS


async def test_a_change_by_the_worker_of_another_process_is_seen_within_a_second(pod: Stack) -> None:
    path = await made(pod)
    stripe_id = (await pod.client.get(path)).json()["stripe_subscription_id"]
    async with another(pod) as (_, client):
        await remembered(client, path)
        async with httpx.AsyncClient(base_url=pod.parts.settings.stripe.api_base) as stripe:
            authorization = {"Authorization": "Bearer sk_test_development"}
            body = {"cancel_at_period_end": "true"}
            answer = await stripe.post(f"/v1/subscriptions/{stripe_id}", data=body, headers=authorization)
            assert answer.status_code == 200

        async def applied() -> bool:
            async with pod.parts.database.read() as connection:
                query = "SELECT cancel_at_period_end FROM subscriptions"
                return bool((await connection.exec_driver_sql(query)).scalar_one())

        await pod.until(applied)
        assert await longest_stale(client, path, since=time.monotonic()) <= STALE_SECONDS


async def test_while_redis_is_frozen_nothing_older_than_a_second_is_served(pod: Stack, valkey: ValkeyServer) -> None:
    path = await made(pod)
    async with another(pod) as (_, client):
        await remembered(client, path)
        valkey.pause()
        try:
            assert (await pod.client.post(f"{path}/cancel", json={"at_period_end": True})).status_code == 200
            assert await longest_stale(client, path, since=time.monotonic()) <= STALE_SECONDS
        finally:
            valkey.resume()
        await remembered(client, path)
        assert (await client.get(path)).json()["cancel_at_period_end"] is True


async def test_what_redis_held_before_an_outage_is_not_served_after_it(
    pod: Stack, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message of the change was lost, as when its process is killed during the outage."""
    path = await made(pod)
    async with another(pod) as (_, client):
        await remembered(client, path)
        assert pod.parts.invalidations is not None
        monkeypatch.setattr(pod.parts.invalidations, "publish", lambda _keys: None)
        valkey.pause()
        await asyncio.sleep(1.0)
        await pod.client.post(f"{path}/cancel", json={"at_period_end": True})
        await asyncio.sleep(1.0)
        valkey.resume()
        await remembered(client, path)
        assert (await client.get(path)).json()["cancel_at_period_end"] is True


async def test_a_connection_that_was_cut_makes_everything_be_read_anew(pod: Stack) -> None:
    path = await made(pod)
    async with another(pod) as (parts, client):
        await remembered(client, path)
        assert parts.invalidations is not None
        redis: Any = parts.redis
        assert await redis.client_kill_filter(_type="pubsub") >= 1

        async def forgotten() -> bool:
            await asyncio.sleep(0)
            return parts.cache._entries == {}

        await pod.until(forgotten)
        await remembered(client, path)


async def test_without_redis_a_read_takes_little_longer_and_recovers(pod: Stack, valkey: ValkeyServer) -> None:
    path = await made(pod)
    await remembered(pod.client, path)
    valkey.stop()
    answers = [await pod.client.get(path) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    valkey.start()
    await remembered(pod.client, path)


async def test_a_frozen_redis_adds_at_most_fifty_milliseconds(
    pod: Stack, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The median of requests that each meet the outage first; the machine may be busy."""
    monkeypatch.setattr(circuit_breaker, "TIMEOUT_SECONDS", SHIPPED_SECONDS)
    path = await made(pod)
    valkey.pause()
    try:
        waited: list[float] = []
        plain: list[float] = []
        for _ in range(5):
            assert pod.parts.invalidations is not None
            pod.parts.invalidations.circuit._open_until = 0.0
            pod.parts.cache.clear()
            for kept in (waited, plain):
                began = time.monotonic()
                answer = await pod.client.post(f"{path}/cancel", json={"at_period_end": True})
                assert answer.status_code == 200
                kept.append(time.monotonic() - began)
    finally:
        valkey.resume()
    assert sorted(waited)[2] - sorted(plain)[2] <= 0.05 + sorted(plain)[2]


async def test_a_value_read_before_a_change_is_not_stored_after_it(pod: Stack) -> None:
    invalidations = pod.parts.invalidations
    assert invalidations is not None
    cache = ReadCache(invalidations, entries=10)

    async def heard() -> bool:
        await asyncio.sleep(0)
        return invalidations.listening()

    await pod.until(heard)

    async def read_while_it_changes() -> bytes:
        invalidations.publish(["lps_x"])

        async def told() -> bool:
            await asyncio.sleep(0)
            return not invalidations._queued

        await pod.until(told)
        return b"old"

    assert await cache.load("lps_x", read_while_it_changes) == b"old"
    assert cache.look_up("lps_x") is None
    assert pod.parts.redis is not None
    assert await pod.parts.redis.get(shared_keys("lps_x")[0]) is None


async def test_memory_is_bounded_and_large_answers_are_not_kept(pod: Stack) -> None:
    cache = ReadCache(pod.parts.invalidations, entries=10)

    async def read() -> bytes:
        return b"x"

    async def read_much() -> bytes:
        return b"x" * (cache_module.LARGEST_BYTES + 1)

    for number in range(50):
        await cache.load(f"lps_{number}", read)
    await cache.load("lps_large", read_much)
    assert list(cache._entries) == [f"lps_{number}" for number in range(40, 50)]


async def test_many_who_ask_at_once_share_one_read(pod: Stack) -> None:
    cache = ReadCache(pod.parts.invalidations, entries=10)
    reads = 0

    async def read() -> bytes:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.05)
        return b"x"

    assert await asyncio.gather(*(cache.load("lps_1", read) for _ in range(20))) == [b"x"] * 20
    assert reads == 1


async def test_an_error_is_told_to_all_who_ask_and_not_remembered(pod: Stack) -> None:
    cache = ReadCache(pod.parts.invalidations, entries=10)

    async def fail() -> bytes:
        raise KeyError

    answers = await asyncio.gather(*(cache.load("lps_1", fail) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [KeyError] * 3
    assert (await pod.client.get(f"{PATH}/lps_nothing")).status_code == 404


async def test_most_of_a_zipf_workload_is_hits(pod: Stack) -> None:
    """Ten thousand names, the n-th asked for 1/n^1.1 as often as the first, as the benchmark does."""
    cache = pod.parts.cache
    chosen = random.Random(1)
    weights = [1 / rank**1.1 for rank in range(1, 10_001)]
    before = {result: counted(result) for result in ("hit", "hit_shared", "miss")}

    async def read() -> bytes:
        return b"x" * 700

    for name in chosen.choices(range(10_000), weights=weights, k=40_000):
        if cache.look_up(f"lps_{name}") is None:
            await cache.load(f"lps_{name}", read)
    taken = {result: counted(result) - before[result] for result in before}
    assert (taken["hit"] + taken["hit_shared"]) / sum(taken.values()) >= 0.85


async def test_without_redis_nothing_is_remembered(database_url: str) -> None:
    async with running_stack(database_url) as stack:
        path = await made(stack)
        before = counted("hit")
        for _ in range(3):
            assert (await stack.client.get(path)).status_code == 200
        assert counted("hit") == before
