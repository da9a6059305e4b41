"""Repeats transactions that the database rolled back for the sake of others.

A deadlock is no fault of either side: "normally, you must write your applications so that they are always prepared to
re-issue a transaction if it gets rolled back because of a deadlock" (dev.mysql.com/doc/refman/en/innodb-deadlocks.html;
postgresql.org/docs/current/mvcc-serialization-failure-handling.html says the same). MariaDB has more of them, for a
duplicate key or a foreign key takes a shared lock there, which two transactions then both want to widen.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar

from payment_service.observability.metrics import DATABASE_COLLISIONS
from payment_service.storage.database import is_collision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

TRIES: Final = 6
PAUSE_SECONDS: Final = 0.01
"""The longest wait before the second try; it doubles from one to the next."""


async def repeat_collided(work: Callable[[], Awaitable[T]], *, before_next: Callable[[], None] | None = None) -> T:
    """Return what `work` returns; begin it anew when its transaction collided with another.

    Args:
        work: something that may be done again when a transaction of its own was rolled back.
        before_next: called before each further try.

    Raises:
        Exception: what `work` raised that is no collision, or the last collision.
    """
    for done in range(TRIES - 1):
        try:
            return await work()
        except Exception as error:
            if not is_collision(error):
                raise
            DATABASE_COLLISIONS.inc()
            if before_next is not None:
                before_next()
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * 2**done))  # noqa: S311 - no secret
    return await work()
