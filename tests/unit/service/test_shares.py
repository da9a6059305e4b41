"""What one caller may hold of the database's connections, by the count and the order of who gets one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from payment_service import shares as module
from payment_service.errors import TooManyInFlight
from payment_service.shares import Holder, Shares, counting_for
from payment_service.tasks import begin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOL = 8


class Crowd:
    """Requests that each hold a connection until they are let go."""

    def __init__(self, connections: int = POOL) -> None:
        self.shares = Shares(connections)
        self.holding: list[tuple[str, int]] = []
        self.order: list[str] = []
        self._let_go: dict[tuple[str, int], asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._number = 0

    async def send(self, name: str | None, count: int = 1) -> None:
        """Let a caller, or nobody, ask for so many, and let them come as far as they come."""
        for _ in range(count):
            self._number += 1
            with counting_for(None if name is None else Holder("key", name)):
                self._tasks.append(asyncio.create_task(self._hold((name or "", self._number))))
        await settle()

    async def _hold(self, one: tuple[str, int]) -> None:
        leaving = self._let_go[one] = asyncio.Event()
        async with self.shares.one():
            self.holding.append(one)
            self.order.append(one[0])
            await leaving.wait()
            self.holding.remove(one)

    async def let_go(self, name: str) -> None:
        """End the caller's first request that holds one."""
        self._let_go[next(one for one in self.holding if one[0] == name)].set()
        await settle()

    def count(self) -> Counter[str]:
        return Counter(name for name, _ in self.holding)

    async def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def crowd(connections: int = POOL) -> AsyncIterator[Crowd]:
    """A crowd; when it has gone, everything is free again."""
    here = Crowd(connections)
    yield here
    await here.cancel()
    await here.send("after", connections * 2)
    assert here.count()["after"] == allowed(connections)
    await here.cancel()


def allowed(connections: int) -> int:
    """How many of a pool a caller may hold who is alone: a free one is left for each three, or the first alone."""
    return max(held for held in range(1, connections + 1) if held == 1 or held <= 3 * (connections - held))


@pytest.mark.parametrize(("connections", "share"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (20, 15), (200, 150)])
async def test_a_caller_who_is_alone_gets_three_quarters_of_the_pool(connections: int, share: int) -> None:
    async with crowd(connections) as here:
        await here.send("a", 300)
        assert here.count() == {"a": share}


async def test_beside_a_flood_every_other_caller_gets_one_at_once() -> None:
    async with crowd() as here:
        await here.send("flood", 32)
        for name in ("b", "c", "d", "e"):
            await here.send(name)
            assert here.count()[name] == 1


async def test_what_is_given_back_goes_to_who_holds_less() -> None:
    async with crowd() as here:
        await here.send("a", 32)
        await here.send("b", 32)
        assert here.count() == {"a": 6, "b": 1}
        for _ in range(4):
            await here.let_go("a")
        assert here.count() == {"a": 3, "b": 3}


async def test_one_caller_is_served_in_order_and_callers_in_turn() -> None:
    async with crowd() as here:
        await here.send("a", 6)
        await here.send("b", 1)
        here.order.clear()
        await here.send("a", 4)
        await here.send("b", 4)
        numbers = [number for name, number in here.holding if name == "a"]
        for _ in range(4):
            await here.let_go("a")
        later = [number for name, number in here.holding if name == "a" and number not in numbers]
        assert later == sorted(later)
        assert here.order == ["b", "b", "a"]


async def test_what_belongs_to_nobody_never_waits_and_leaves_less_to_callers() -> None:
    async with crowd() as here:
        await here.send("a", 32)
        await here.send(None, 20)
        assert here.count() == {"a": 6, "": 20}
        for _ in range(5):
            await here.let_go("a")
        assert here.count()["a"] == 1


async def test_who_holds_one_does_not_wait_for_a_second() -> None:
    shares = Shares(POOL)
    inner = 0

    async def nested() -> None:
        nonlocal inner
        async with shares.one():
            await settle()
            async with shares.one():
                inner += 1
                await settle()

    with counting_for(Holder("key", "a")):
        await asyncio.gather(*(nested() for _ in range(32)))
    assert inner == 32


async def test_what_a_caller_begins_for_all_does_not_wait_in_its_share() -> None:
    async with crowd() as here:
        await here.send("a", 32)

        async def look() -> None:
            async with here.shares.one():
                pass

        with counting_for(Holder("key", "a")):
            shared, own = begin(look()), asyncio.create_task(look())
            await settle()
            assert (shared.done(), own.done()) == (True, False)
            own.cancel()


async def test_who_waits_too_long_is_refused_and_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    async with crowd() as here:
        await here.send("a", 6)
        with counting_for(Holder("key", "a")), pytest.raises(TooManyInFlight) as refused:
            async with here.shares.one():
                pass
        assert (refused.value.status, refused.value.retry_after) == (429, 1.0)


@pytest.mark.parametrize("seed", range(50))
async def test_whatever_happens_none_is_lost_and_none_is_given_twice(seed: int) -> None:
    chance = random.Random(seed)
    shares, holding = Shares(POOL), Counter[str]()

    async def request(name: str) -> None:
        async with shares.one():
            holding[name] += 1
            try:
                assert max(holding.values()) <= allowed(POOL)
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                holding[name] -= 1

    tasks = []
    for _ in range(300):
        name = chance.choice(["a", "a", "a", "b", "c"])
        with counting_for(Holder("key", name)):
            tasks.append(asyncio.create_task(request(name)))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes if outcome is not None} <= {asyncio.CancelledError}
    assert (shares._free, dict(shares._held), dict(shares._waiting)) == (POOL, {}, {})
