"""The work queue: bursts, one pass at a time for a key, failures, repeated looks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from payment_operator.runtime.health import Staleness
from payment_operator.runtime.queue import CONCURRENT, CONCURRENT_FAILING, WorkQueue

if TYPE_CHECKING:
    from payment_operator.names import EnvironmentKey

SHOP, BAR = ("test", "shop"), ("test", "bar")


class Passes:
    """Records passes; fails as often as it is told."""

    def __init__(self, *, again: float | None = 60.0, failures: int = 0) -> None:
        self.again, self.failures = again, failures
        self.done: list[EnvironmentKey] = []
        self.running: set[EnvironmentKey] = set()

    async def __call__(self, key: EnvironmentKey) -> float | None:
        assert key not in self.running
        self.running.add(key)
        await asyncio.sleep(0.2)
        self.running.discard(key)
        self.done.append(key)
        if len(self.done) <= self.failures:
            raise RuntimeError("no")
        return self.again


async def until(condition: object, *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]  # noqa: ASYNC110 - of any kind
        await asyncio.sleep(0.02)
    assert condition()  # type: ignore[operator]


async def test_a_burst_is_one_pass_and_keys_do_not_wait_for_each_other() -> None:
    passes = Passes()
    queue = WorkQueue(passes)
    for _ in range(50):
        queue.add(SHOP)
        queue.add(BAR)
    await until(lambda: len(passes.done) >= 2)
    await asyncio.sleep(0.3)
    assert sorted(passes.done) == [BAR, SHOP]
    assert queue.longest_pass() == 0
    await queue.close()


async def test_an_event_during_a_pass_asks_for_another_one() -> None:
    passes = Passes()
    queue = WorkQueue(passes)
    queue.add(SHOP)
    await until(lambda: passes.running)
    queue.add(SHOP)
    await until(lambda: len(passes.done) == 2)
    await queue.close()


async def test_a_pass_says_when_to_look_again_and_none_ends_it() -> None:
    passes = Passes(again=0.05)
    queue = WorkQueue(passes)
    queue.add(SHOP)
    await until(lambda: len(passes.done) >= 3)
    passes.again = None
    count = len(passes.done)
    await asyncio.sleep(1)
    assert len(passes.done) <= count + 2
    queue.add(SHOP)
    await until(lambda: len(passes.done) > count)
    await queue.close()


async def test_failures_wait_and_then_the_pass_is_made() -> None:
    passes = Passes(failures=3)
    queue = WorkQueue(passes)
    started = time.monotonic()
    queue.add(SHOP)
    await until(lambda: len(passes.done) == 4)
    assert time.monotonic() - started > 0.5
    await queue.close()


async def test_those_that_fail_take_no_slot_from_the_others() -> None:
    held, served = asyncio.Event(), asyncio.Event()
    failing = {("test", f"bad-{number}") for number in range(2 * CONCURRENT)}
    deaths: dict[EnvironmentKey, int] = dict.fromkeys(failing, 0)

    async def handle(key: EnvironmentKey) -> float:
        if key not in failing:
            served.set()
            return 60
        deaths[key] += 1
        if deaths[key] > 1:
            await held.wait()
        raise RuntimeError("no")

    queue = WorkQueue(handle)
    for key in failing:
        queue.add(key)
    await until(lambda: sum(count > 1 for count in deaths.values()) == CONCURRENT_FAILING and all(deaths.values()))
    queue.add(SHOP)
    async with asyncio.timeout(20):
        await served.wait()
    assert queue.longest_pass() > 0, "of those that are held"
    await queue.close()


async def test_a_key_whose_task_was_cancelled_is_served_again() -> None:
    passes = Passes()
    queue = WorkQueue(passes)
    queue.add(SHOP)
    await until(lambda: passes.done)
    task = queue._tasks[SHOP]
    task.cancel()
    await until(task.done)
    queue.add(SHOP)
    await until(lambda: len(passes.done) == 2)
    await queue.close()


def environment(version: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"namespace": "test", "name": "shop", "resourceVersion": version}}


def test_health_is_about_work_done() -> None:
    standby = Staleness(resync=1.0)
    assert standby.problems(longest_pass=0) == []
    standby.alive -= 1000
    assert standby.problems(longest_pass=0)
    leader = Staleness(resync=1.0, leading=True)
    leader.read([environment("7")])
    leader.watched(SHOP, "7")
    leader.read([environment("7")])
    assert leader.problems(longest_pass=0) == []
    assert "a pass has not ended" in leader.problems(longest_pass=500)[0]
    leader.turned -= 100
    assert "no resync" in leader.problems(longest_pass=0)[0]


def test_a_watch_that_shows_nothing_new_is_noticed() -> None:
    leader = Staleness(resync=1.0, leading=True)
    leader.watched(SHOP, "7")
    leader.read([environment("8")])
    leader._missed = {key: (seen, at - 1000) for key, (seen, at) in leader._missed.items()}
    leader.read([environment("9")])
    assert "a watch is dead: it has shown nothing" in leader.problems(longest_pass=0)[0]
    leader.watched(SHOP, "9")
    leader.read([environment("9")])
    assert leader.problems(longest_pass=0) == []
