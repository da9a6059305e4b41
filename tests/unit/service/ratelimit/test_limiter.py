"""The limiter in memory."""

from __future__ import annotations

import pytest

from payment_service.ratelimit import limiter
from payment_service.ratelimit.limiter import LocalLimiter, Rule


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def local(now: list[float]) -> LocalLimiter:
    return LocalLimiter(monotonic=lambda: now[0])


async def allowed(local: LocalLimiter, subject: str = "a") -> bool:
    return (await local.check(Rule("create", subject, 10, exact=True))).allowed


async def test_ten_pass_and_the_eleventh_is_refused(local: LocalLimiter) -> None:
    assert [await allowed(local) for _ in range(11)] == [True] * 10 + [False]


async def test_subjects_do_not_share_a_limit(local: LocalLimiter) -> None:
    assert all([await allowed(local) for _ in range(10)])
    assert await allowed(local, "b")


async def test_no_window_of_a_minute_holds_more_than_the_limit(local: LocalLimiter, now: list[float]) -> None:
    passed = []
    for _ in range(400):
        if await allowed(local):
            passed.append(now[0])
        now[0] += 0.7
    busiest = max(sum(1 for other in passed if start <= other < start + 60) for start in passed)
    assert busiest == 10


async def test_a_refusal_says_when_to_come_again(local: LocalLimiter, now: list[float]) -> None:
    for _ in range(10):
        await allowed(local)
    now[0] += 20
    decision = await local.check(Rule("create", "a", 10, exact=True))
    assert decision.reset_seconds == pytest.approx(40)


async def test_memory_is_bounded(local: LocalLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "MAXIMUM_SUBJECTS", 5)
    for number in range(50):
        await allowed(local, str(number))
    assert len(local._logs) == 5


async def test_several_rules_are_one_step(local: LocalLimiter) -> None:
    rules = (Rule("create", "a", 1, exact=True), Rule("key", "k", 5))
    assert (await local.check(*rules)).name == "create"
    assert not (await local.check(*rules)).allowed
    assert (await local.check(rules[1])).remaining == 3


async def test_looking_counts_nothing_and_refuses_what_is_full(local: LocalLimiter) -> None:
    rule = Rule("declines", "card", 2)
    assert all([(await local.check(rule._replace(amount=0))).allowed for _ in range(5)])
    await local.add(rule, rule)
    assert not (await local.check(rule._replace(amount=0))).allowed


async def test_what_has_happened_is_counted_beyond_the_limit_too(local: LocalLimiter, now: list[float]) -> None:
    rule = Rule("declines", "card", 2, exact=True, window_seconds=3600)
    for _ in range(4):
        await local.add(rule)
        now[0] += 600
    refused = await local.check(rule._replace(amount=0))
    assert refused.reset_seconds == pytest.approx(3600 - 2400 + 1200), "the third of four must leave the window"
    now[0] += refused.reset_seconds - 1
    assert not (await local.check(rule._replace(amount=0))).allowed
    now[0] += 1
    assert (await local.check(rule._replace(amount=0))).allowed


async def test_a_share_of_the_rule_before_raises_the_limit(local: LocalLimiter) -> None:
    attempts, declines = Rule("attempts", "k", 1000), Rule("declines", "k", 3, share=50)
    await local.add(attempts._replace(amount=20), declines._replace(amount=9))
    assert (await local.check(attempts, declines._replace(amount=0))).allowed
    await local.add(declines)
    assert (await local.check(attempts, declines._replace(amount=0))).name == "declines"
    assert not (await local.check(attempts._replace(amount=0), declines._replace(amount=0))).allowed
