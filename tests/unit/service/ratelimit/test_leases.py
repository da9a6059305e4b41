"""Parts of a limit that a process takes in advance."""

from __future__ import annotations

import asyncio

import pytest

from payment_service.ratelimit.leases import LARGEST_PART, LEASE_SECONDS, Leases
from payment_service.ratelimit.limiter import Decision, LocalLimiter, Rule

RULES = (Rule("address", "a", 1000), Rule("key", "k", 500))


class Counting(LocalLimiter):
    """Counts the round trips."""

    def __init__(self, now: list[float]) -> None:
        super().__init__(monotonic=lambda: now[0])
        self.trips = 0

    async def check(self, *rules: Rule) -> Decision:
        self.trips += 1
        await asyncio.sleep(0)
        return await super().check(*rules)


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def limiter(now: list[float]) -> Counting:
    return Counting(now)


@pytest.fixture
def leases(limiter: Counting, now: list[float]) -> Leases:
    return Leases(limiter, monotonic=lambda: now[0])


async def test_many_requests_need_few_round_trips_and_the_limit_holds(leases: Leases, limiter: Counting) -> None:
    allowed = [(await leases.check(RULES)).allowed for _ in range(600)]
    assert sum(allowed) == 500
    assert allowed == sorted(allowed, reverse=True)
    until_refused = limiter.trips - 2 * allowed.count(False)
    assert until_refused <= 500 / (500 // LARGEST_PART) + 20


async def test_many_at_once_take_one_part(leases: Leases, limiter: Counting) -> None:
    await asyncio.gather(*(leases.check(RULES) for _ in range(100)))
    assert limiter.trips < 20
    assert sum(amount for _, amount in limiter._logs["key", "k"]) <= 100 + 500 // LARGEST_PART


async def test_a_slow_client_is_charged_one_for_each_request(
    leases: Leases, limiter: Counting, now: list[float]
) -> None:
    for _ in range(20):
        assert (await leases.check(RULES)).allowed
        now[0] += LEASE_SECONDS
    assert sum(amount for _, amount in limiter._logs["key", "k"]) == 20


async def test_what_is_held_ends_with_its_second(leases: Leases, limiter: Counting, now: list[float]) -> None:
    for _ in range(10):
        await leases.check(RULES)
    trips = limiter.trips
    now[0] += 2 * LEASE_SECONDS
    assert leases.held(RULES) is None
    await leases.check(RULES)
    assert limiter.trips == trips + 1


async def test_the_last_requests_of_a_limit_are_given_one_by_one(leases: Leases) -> None:
    small = (Rule("key", "small", 60),)
    assert sum([(await leases.check(small)).allowed for _ in range(80)]) == 60
