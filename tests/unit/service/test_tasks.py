"""A background task ends, also one whose library loses the first cancellation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import payment_service
from payment_service.tasks import end

LOST = 3


async def deaf(times: list[int]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            times.append(len(times))
            if len(times) > LOST:
                raise


async def fail() -> None:
    raise ValueError


async def test_a_task_that_loses_cancellations_is_ended() -> None:
    times: list[int] = []
    tasks = [asyncio.create_task(deaf(times)), asyncio.create_task(fail())]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(tasks)
    assert all(task.done() for task in tasks)
    assert len(times) == LOST + 1


async def test_nothing_to_end_takes_no_time() -> None:
    async with asyncio.timeout(1):
        await end([])


def test_no_other_module_cancels_a_task() -> None:
    """Two more cancel timers, which run no code of their own: `watch.py` of the door, and who looks for webhooks."""
    root = Path(payment_service.__file__).parent
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if ".cancel()" in path.read_text("utf-8")}
    assert found == {"tasks.py", "http/door/watch.py", "endpoints/deliverer.py"}
