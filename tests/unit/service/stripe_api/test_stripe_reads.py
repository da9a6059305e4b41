"""Questions to Stripe: shared, remembered, counted."""

from __future__ import annotations

import asyncio

import pytest

from payment_service.config.caller_settings import CallerSettings
from payment_service.errors import TooManyRequests, Unprocessable
from payment_service.ratelimit.limiter import LocalLimiter
from payment_service.stripe_api.reads import REMEMBERED, Asker, StripeReads

SHOP = Asker("key", "shop")
QUESTION = ("price", "price_1")


class Stripe:
    """Answers, and counts how often."""

    def __init__(self, *, absent: bool = False) -> None:
        self.absent = absent
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.absent:
            raise Unprocessable("price_id: no such price", errors=[{"field": "price_id"}])
        return self.asked


class Time:
    """Passes when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reads(time: Time) -> StripeReads:
    settings = CallerSettings(requests_in_flight=0, stripe_reads_per_minute=3, absent_seconds=5)
    return StripeReads(LocalLimiter(monotonic=time), settings, monotonic=time)


async def test_who_asks_at_once_shares_a_call(reads: StripeReads) -> None:
    stripe = Stripe()
    assert await asyncio.gather(*(reads.look_up(SHOP, QUESTION, stripe) for _ in range(3))) == [1, 1, 1]
    assert await reads.look_up(Asker("key", "other"), QUESTION, stripe) == 2


async def test_an_answer_is_given_again_for_as_long_as_it_is_fresh(reads: StripeReads, time: Time) -> None:
    stripe = Stripe()
    for seconds, expected in ((0.0, 1), (0.9, 1), (0.2, 2)):
        time.now += seconds
        assert await reads.look_up(SHOP, QUESTION, stripe, fresh_seconds=1) == expected


async def test_what_is_absent_is_remembered_and_told_in_the_same_words(reads: StripeReads, time: Time) -> None:
    stripe = Stripe(absent=True)
    for seconds, expected in ((0.0, 1), (4.9, 1), (0.2, 2)):
        time.now += seconds
        with pytest.raises(Unprocessable) as told:
            await reads.look_up(SHOP, QUESTION, stripe)
        assert (told.value.detail, told.value.extra) == (
            "price_id: no such price",
            {"errors": [{"field": "price_id"}]},
        )
        assert stripe.asked == expected


async def test_a_fault_is_not_remembered(reads: StripeReads) -> None:
    async def away() -> int:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await reads.look_up(SHOP, QUESTION, away)
    assert await reads.look_up(SHOP, QUESTION, Stripe()) == 1


async def test_a_caller_has_so_many_questions_a_minute(reads: StripeReads, time: Time) -> None:
    for number in range(3):
        await reads.look_up(SHOP, ("price", str(number)), Stripe())
    stripe = Stripe()
    with pytest.raises(TooManyRequests) as told:
        await reads.look_up(SHOP, QUESTION, stripe)
    assert stripe.asked == 0
    assert told.value.retry_after
    assert await reads.look_up(Asker("address", "shop"), QUESTION, stripe) == 1
    time.now += 61
    assert await reads.look_up(SHOP, QUESTION, stripe) == 2


async def test_memory_has_an_end(reads: StripeReads, time: Time) -> None:
    for number in range(REMEMBERED + 10):
        time.now += 30
        await reads.look_up(SHOP, ("price", str(number)), Stripe(), fresh_seconds=1e9)
    assert len(reads._remembered) == REMEMBERED
