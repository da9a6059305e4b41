"""Operations on one object end in the order in which they began.

A later one that overtook an earlier one, whose answer of Stripe was lost, would be undone when that is completed: the
older order's quantity, a card that the customer has replaced, or a cancellation that was taken back before it was made.
So whoever wants to begin looks for unfinished ones before, under a lock that names the object; waits for those that are
driven, and completes those whose driver is gone.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import bindparam, select

from payment_service.storage.expressions import TakesLock
from payment_service.storage.tables import operations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.errors import PaymentsError

T = TypeVar("T")

PATIENCE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
_SEED: Final = 25
_LOCK: Final = select(TakesLock(bindparam("name"), seed=_SEED))


@dataclass(frozen=True, slots=True)
class Turns:
    """Which operations end in their order."""

    kinds: tuple[str, ...]
    """Of the operations that wait for each other."""
    fact: str
    """What their states keep Stripe's id of the object in that they change."""
    busy: type[PaymentsError]
    """Raised with a word when those before take too long."""
    noun: str
    """Of the object, for people."""


@dataclass(slots=True)
class _Behind(Exception):
    """One is not finished."""

    turns: Turns
    operation_id: str = ""
    """Empty: another one begins in this moment."""
    fence: int = 0


async def take(connection: AsyncConnection, turns: Turns, *, stripe_id: str, livemode: bool) -> None:
    """Hold an object until the transaction ends, in which an operation on it begins.

    Args:
        connection: in the transaction, within `Operations.run`.
        turns: which operations are to end before.
        stripe_id: Stripe's id of the object.
        livemode: Stripe's mode.

    Raises:
        _Behind: another operation comes first; `wait` takes it.
    """
    if not (await connection.execute(_LOCK, {"name": stripe_id})).scalar_one():
        raise _Behind(turns)
    which = {"livemode": livemode, "kinds": turns.kinds, "stripe_id": stripe_id}
    row = (await connection.execute(_before(turns.fact), which)).first()
    if row is not None:
        raise _Behind(turns, row.id, row.fence)


@cache
def _before(fact: str) -> Select[tuple[str, int]]:
    """Build the statement once: that takes as long as a database takes to run it."""
    return (
        select(operations.c.id, operations.c.fence)
        .where(
            ~operations.c.finished,
            operations.c.livemode == bindparam("livemode"),
            operations.c.kind.in_(bindparam("kinds", expanding=True)),
            operations.c.facts[fact].as_string() == bindparam("stripe_id"),
        )
        .order_by(operations.c.id)
        .limit(1)
    )


async def wait(begin: Callable[[], Awaitable[T]], *, finish: Callable[[str, int], Awaitable[object]]) -> T:
    """Return what `begin` returns, when the operations before have ended.

    Args:
        begin: calls `take` in a transaction that nothing is left of when it raises.
        finish: takes over and completes the operation of an id and a fence, if nobody drives it.

    Raises:
        PaymentsError: `Turns.busy`: those before took too long.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await begin()
        except _Behind as behind:
            if time.monotonic() > until:
                words = f"Another operation on this {behind.turns.noun} is not finished; try again"
                raise behind.turns.busy(words, retry_after=2) from None
            if behind.operation_id:
                await finish(behind.operation_id, behind.fence)
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - jitter
