"""A keyed work queue: one pass at a time for a key, bursts are one pass, failures wait longer each time.

Keys whose last pass failed have slots of their own: however many fail, and however slowly, they take none from the
others. Kopf's queue (`kopf/_core/reactor/queueing.py`) is private, starts work by watch events alone, not at a deadline
that a pass names, and has no such slots; `kubernetes` for Python has no work queue.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from payment_operator.backoff import wait_after
from payment_operator.errors import Conflict, OperatorError
from payment_operator.metrics import ENVIRONMENTS, QUEUE_DEPTH
from payment_operator.names import EnvironmentKey

Handle = Callable[[EnvironmentKey], Awaitable[float | None]]
BURST_SECONDS: Final = 0.1
FIRST_BACKOFF_SECONDS: Final = 0.2
LONGEST_BACKOFF_SECONDS: Final = 30.0
CONCURRENT: Final = 8
CONCURRENT_FAILING: Final = 2

log = logging.getLogger("payment_operator.runtime.queue")


class WorkQueue:
    """Calls `handle` for each key that was added, and again after the seconds that it returns; None forgets the key."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._wake: dict[EnvironmentKey, asyncio.Event] = {}
        self._tasks: dict[EnvironmentKey, asyncio.Task[None]] = {}
        self._waiting: set[EnvironmentKey] = set()
        self._running: dict[EnvironmentKey, float] = {}
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._slots_of_failing = asyncio.Semaphore(CONCURRENT_FAILING)

    def add(self, key: EnvironmentKey) -> None:
        """Ask for a pass soon."""
        self._waiting.add(key)
        QUEUE_DEPTH.set(len(self._waiting))
        if key not in self._tasks or self._tasks[key].done():  # done: something has cancelled it
            self._wake[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._serve(key, self._wake[key]))
            ENVIRONMENTS.set(len(self._tasks))
        self._wake[key].set()

    def longest_pass(self) -> float:
        """Seconds since the pass began that runs longest; 0 when none runs."""
        now = time.monotonic()
        return now - min(self._running.values(), default=now)

    async def close(self) -> None:
        """Stop all passes."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, key: EnvironmentKey, wake: asyncio.Event) -> None:
        failures = 0
        again: float | None = 0.0
        while again is not None:
            await _until(wake, again)
            await asyncio.sleep(BURST_SECONDS)
            wake.clear()
            async with self._slots_of_failing if failures else self._slots:
                again, failures = await self._pass(key, failures)
            self._waiting.discard(key)  # it had its pass; whether that failed is no matter of the queue
            QUEUE_DEPTH.set(len(self._waiting))
            if failures:
                await asyncio.sleep(again or 0)  # events do not shorten a backoff
                again = 0.0
        self._tasks.pop(key, None)
        ENVIRONMENTS.set(len(self._tasks))

    async def _pass(self, key: EnvironmentKey, failures: int) -> tuple[float | None, int]:
        self._running[key] = time.monotonic()
        try:
            return await self._handle(key), 0
        except Conflict as error:
            log.info("read again: %s", error, extra={"environment": "/".join(key)})
        except OperatorError as error:
            log.warning("try again: %s", error, extra={"environment": "/".join(key)})
        except Exception:  # the queue outlives whatever a pass meets
            log.exception("a pass failed", extra={"environment": "/".join(key)})
        finally:
            del self._running[key]
        longest = wait_after(failures, first=FIRST_BACKOFF_SECONDS, longest=LONGEST_BACKOFF_SECONDS)
        return longest * random.uniform(0.5, 1.0), failures + 1  # noqa: S311 - jitter


async def _until(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
