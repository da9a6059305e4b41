"""The limiter that all pods share, on a real Valkey."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers.stack import running_stack

from payment_service.caching.redis import connect
from payment_service.config.secrets import Secret
from payment_service.ratelimit.limiter import RedisLimiter, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.valkey import ValkeyServer


@pytest.fixture
async def client(valkey_server: ValkeyServer) -> AsyncIterator[Any]:
    made: Any = connect(Secret(valkey_server.url))
    await made.flushdb()
    yield made
    await made.aclose()


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for Redis than production does, except where waiting is what is tested: the machine may be busy."""
    if "wait_little" not in request.node.name:
        monkeypatch.setattr("payment_service.caching.circuit_breaker.TIMEOUT_SECONDS", 5.0)


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


async def test_looking_counts_nothing_and_what_has_happened_always_counts(client: Any) -> None:
    limiter = RedisLimiter(client)
    for rule in (Rule("exact", "a", 2, exact=True), Rule("wide", "a", 2)):
        look = rule._replace(amount=0)
        assert all([(await limiter.check(look)).allowed for _ in range(5)])
        await limiter.add(rule)
        await limiter.add(rule, Rule("other", "a", 1))
        assert not (await limiter.check(look)).allowed
        await limiter.add(rule)
        assert (await limiter.check(look._replace(limit=3))).name == rule.name
        assert (await limiter.check(look._replace(limit=4))).allowed


async def test_a_long_exact_window_says_when_one_more_passes(client: Any) -> None:
    limiter = RedisLimiter(client)
    rule = Rule("declines", "a", 2, exact=True, window_seconds=2)
    await limiter.add(rule)
    await asyncio.sleep(0.5)
    await limiter.add(rule)
    await limiter.add(rule)
    refused = await limiter.check(rule._replace(amount=0))
    assert 1.5 < refused.reset_seconds <= 2, "the second of three must leave the window, not the first"
    await asyncio.sleep(refused.reset_seconds)
    assert (await limiter.check(rule._replace(amount=0))).allowed


@pytest.mark.parametrize("counted", [3, 7])
async def test_a_wide_rule_passes_when_it_said_it_would(client: Any, counted: int) -> None:
    limiter = RedisLimiter(client)
    rule = Rule("declines", "a", 3, window_seconds=2)
    await limiter.add(rule._replace(amount=counted))
    refused = await limiter.check(rule._replace(amount=0))
    assert not refused.allowed
    assert 0 < refused.reset_seconds <= 4
    await asyncio.sleep(refused.reset_seconds + 0.02)
    assert (await limiter.check(rule._replace(amount=0))).allowed


async def test_a_share_of_the_rule_before_raises_the_limit(client: Any) -> None:
    limiter = RedisLimiter(client)
    attempts, declines = Rule("attempts", "k", 1000), Rule("declines", "k", 3, share=50)
    await limiter.add(attempts._replace(amount=20), declines._replace(amount=9))
    assert (await limiter.check(attempts, declines._replace(amount=0))).allowed
    await limiter.add(declines)
    assert (await limiter.check(attempts, declines._replace(amount=0))).name == "declines"
    assert not (await limiter.check(attempts._replace(amount=0), declines._replace(amount=0))).allowed


async def test_keys_expire_with_their_window(client: Any) -> None:
    await RedisLimiter(client).check(Rule("create", "a", 10, exact=True))
    (key,) = await client.keys("payments:{limit}:*")
    assert 0 < await client.pttl(key) <= 60_000


async def test_without_redis_requests_pass_and_wait_little(valkey: ValkeyServer) -> None:
    client = connect(Secret(valkey.url))
    limiter = RedisLimiter(client)
    await limiter.check(Rule("create", "a", 1, exact=True))
    valkey.pause()
    started = time.monotonic()
    decisions = [await limiter.check(Rule("create", "a", 1, exact=True)) for _ in range(50)]
    waited = time.monotonic() - started
    valkey.resume()
    assert all(decision.allowed for decision in decisions)
    assert waited < 2.0
    await client.aclose()


async def test_the_limit_holds_again_when_redis_is_back(valkey: ValkeyServer) -> None:
    client = connect(Secret(valkey.url))
    limiter = RedisLimiter(client)
    valkey.stop()
    assert (await limiter.check(Rule("create", "a", 1, exact=True))).allowed
    valkey.start()
    await asyncio.sleep(1.1)
    assert (await limiter.check(Rule("create", "a", 1, exact=True))).allowed
    assert not (await limiter.check(Rule("create", "a", 1, exact=True))).allowed
    await client.aclose()


async def test_health_tells_of_redis_and_readiness_does_not(database_url: str, valkey: ValkeyServer) -> None:
    async with running_stack(database_url, REDIS_URL=valkey.url) as stack:
        assert (await stack.client.get("/health")).json()["checks"]["redis"] is True
        valkey.stop()
        answer = await stack.client.get("/health")
        assert (answer.status_code, answer.json()["checks"]["redis"]) == (503, False)
        assert (await stack.client.get("/health/ready")).status_code == 200
        assert (await stack.create(email="ada@example.com")).status_code == 201
        valkey.start()

        async def healthy() -> bool:
            return (await stack.client.get("/health")).status_code == 200

        await stack.until(healthy)
