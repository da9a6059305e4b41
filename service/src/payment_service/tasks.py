"""Begins background tasks, and ends them for certain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from payment_service.shares import counting_for

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

AGAIN_SECONDS: Final = 0.05
T = TypeVar("T")


def begin(work: Coroutine[object, None, T]) -> asyncio.Task[T]:
    """Begin work that several wait for: it never waits in the share of the caller who happened to ask first."""
    with counting_for(None):
        return asyncio.create_task(work)


async def end(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks until each has ended; what they raise is dropped.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which the libraries of Redis and PostgreSQL call, loses a
    cancellation that arrives when what it waits for is done (https://github.com/python/cpython/issues/86296). A task
    that goes on for ever would keep a process from stopping.
    """
    ending = set(tasks)
    waiting = ending
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
    await asyncio.gather(*ending, return_exceptions=True)
