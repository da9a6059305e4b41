"""The limiter that all pods share, on a real Valkey."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.stack import running_stack
from tests.servers.valkey import ValkeyServer

from payment_service.platform.limiter import RedisLimiter, Rule
from payment_service.platform.redis import connect
from payment_service.platform.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
async def client(valkey_server: ValkeyServer) -> AsyncIterator[Any]:
    made = connect(Secret(valkey_server.url))
    await made.flushdb()
    yield made
    await made.aclose()


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for Redis than production does, except where waiting is what is tested: the machine may be busy."""
    if "wait_little" not in request.node.name:
        monkeypatch.setattr("payment_service.platform.circuit.TIMEOUT_SECONDS", 5.0)


async def test_ten_pass_and_the_eleventh_is_refused(client: Any) -> None:
    limiter = RedisLimiter(client)
    decisions = [await limiter.check(Rule("create", "a", 10, exact=True)) for _ in range(11)]
    assert [decision.allowed for decision in decisions] == [True] * 10 + [False]
    assert [decision.remaining for decision in decisions[:3]] == [9, 8, 7]
    assert 59 < decisions[-1].reset_seconds <= 60


async def test_two_pods_share_one_limit(client: Any, valkey_server: ValkeyServer) -> None:
    other = connect(Secret(valkey_server.url))
    pods = [RedisLimiter(client), RedisLimiter(other)]
    decisions = await asyncio.gather(*(pods[n % 2].check(Rule("create", "a", 10, exact=True)) for n in range(30)))
    assert sum(decision.allowed for decision in decisions) == 10
    await other.aclose()


async def test_subjects_and_names_do_not_share_a_limit(client: Any) -> None:
    limiter = RedisLimiter(client)
    for name, subject in (("create", "a"), ("create", "b"), ("other", "a")):
        assert (await limiter.check(Rule(name, subject, 1, exact=True))).allowed


async def test_several_rules_are_one_step_and_a_refusal_counts_nothing(client: Any) -> None:
    limiter = RedisLimiter(client)
    tight, wide = Rule("create", "a", 2, exact=True), Rule("key", "k", 100)
    decisions = [await limiter.check(tight, wide) for _ in range(5)]
    assert [decision.allowed for decision in decisions] == [True, True, False, False, False]
    assert decisions[-1].name == "create"
    left = await limiter.check(wide)
    assert (left.name, left.remaining) == ("key", 97)


async def test_a_wide_rule_takes_parts_and_holds_its_limit(client: Any) -> None:
    limiter = RedisLimiter(client)
    taken = [(await limiter.check(Rule("key", "k", 100, amount=30))).allowed for _ in range(4)]
    assert taken == [True, True, True, False]
    assert (await limiter.check(Rule("key", "k", 100, amount=10))).allowed
    refused = await limiter.check(Rule("key", "k", 100))
    assert not refused.allowed
    assert 0 < refused.reset_seconds <= 60


async def test_keys_expire_with_their_window(client: Any) -> None:
    await RedisLimiter(client).check(Rule("create", "a", 10, exact=True))
    (key,) = await client.keys("payments:{limit}:*")
    assert 0 < await client.pttl(key) <= 60_000


async def test_without_redis_requests_pass_and_wait_little(own_valkey: ValkeyServer) -> None:
    client = connect(Secret(own_valkey.url))
    limiter = RedisLimiter(client)
    await limiter.check(Rule("create", "a", 1, exact=True))
    own_valkey.pause()
    started = time.monotonic()
    decisions = [await limiter.check(Rule("create", "a", 1, exact=True)) for _ in range(50)]
    waited = time.monotonic() - started
    own_valkey.resume()
    assert all(decision.allowed for decision in decisions)
    assert waited < 2.0
    await client.aclose()


async def test_the_limit_holds_again_when_redis_is_back(own_valkey: ValkeyServer) -> None:
    client = connect(Secret(own_valkey.url))
    limiter = RedisLimiter(client)
    own_valkey.stop()
    assert (await limiter.check(Rule("create", "a", 1, exact=True))).allowed
    own_valkey.start()
    await asyncio.sleep(1.1)
    assert (await limiter.check(Rule("create", "a", 1, exact=True))).allowed
    assert not (await limiter.check(Rule("create", "a", 1, exact=True))).allowed
    await client.aclose()


async def test_health_tells_of_redis_and_readiness_does_not(database_url: str, own_valkey: ValkeyServer) -> None:
    async with running_stack(database_url, REDIS_URL=own_valkey.url) as stack:
        assert (await stack.client.get("/health")).json()["checks"]["redis"] is True
        own_valkey.stop()
        answer = await stack.client.get("/health")
        assert (answer.status_code, answer.json()["checks"]["redis"]) == (503, False)
        assert (await stack.client.get("/health/ready")).status_code == 200
        assert (await stack.create(email="ada@example.com")).status_code == 201
        own_valkey.start()

        async def healthy() -> bool:
            return (await stack.client.get("/health")).status_code == 200

        await stack.until(healthy)
