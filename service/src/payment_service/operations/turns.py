"""Operations on one object end in the order in which they began.

A later one that overtook an earlier one, whose answer of Stripe was lost, would be undone when that is completed: the
older order's quantity, or a cancellation that was taken back before it was made. So whoever wants to begin looks for
unfinished ones before, under a lock that names the object; waits for those that are driven, and completes those whose
driver is gone.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import bindparam, select

from payment_service.errors import SubscriptionInProgress
from payment_service.storage.expressions import TakesLock
from payment_service.storage.tables import operations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

PATIENCE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.1
_SEED: Final = 25
_LOCK: Final = select(TakesLock(bindparam("name"), seed=_SEED))
_BEFORE: Final = (
    select(operations.c.id, operations.c.fence)
    .where(
        ~operations.c.finished,
        operations.c.livemode == bindparam("livemode"),
        operations.c.kind.in_(bindparam("kinds", expanding=True)),
        operations.c.facts["stripe_subscription_id"].as_string() == bindparam("subscription"),
    )
    .order_by(operations.c.id)
    .limit(1)
)


@dataclass(slots=True)
class _Behind(Exception):
    """One is not finished."""

    operation_id: str = ""
    """Empty: another one begins in this moment."""
    fence: int = 0


async def take(
    connection: AsyncConnection, kinds: tuple[str, ...], *, stripe_subscription_id: str, livemode: bool
) -> None:
    """Hold the subscription until the transaction ends, in which an operation on it begins.

    Args:
        connection: in the transaction, within `Operations.run`.
        kinds: of the operations that are to end before.
        stripe_subscription_id: of the subscription.
        livemode: Stripe's mode.

    Raises:
        _Behind: another operation comes first; `wait` takes it.
    """
    if not (await connection.execute(_LOCK, {"name": stripe_subscription_id})).scalar_one():
        raise _Behind
    which = {"livemode": livemode, "kinds": kinds, "subscription": stripe_subscription_id}
    row = (await connection.execute(_BEFORE, which)).first()
    if row is not None:
        raise _Behind(row.id, row.fence)


async def wait(begin: Callable[[], Awaitable[T]], *, finish: Callable[[str, int], Awaitable[object]]) -> T:
    """Return what `begin` returns, when the operations before have ended.

    Args:
        begin: calls `take` in a transaction that nothing is left of when it raises.
        finish: takes over and completes the operation of an id and a fence, if nobody drives it.

    Raises:
        SubscriptionInProgress: those before took too long.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await begin()
        except _Behind as behind:
            if time.monotonic() > until:
                raise SubscriptionInProgress(
                    "Another operation on this subscription is not finished; try again", retry_after=2
                ) from None
            if behind.operation_id:
                await finish(behind.operation_id, behind.fence)
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - jitter
