"""One token bucket for all calls to Stripe that nobody waits for: fetches of the workers, reconciliation.

Stripe allows 100 calls a second in live mode and 25 in a sandbox (docs.stripe.com/rate-limits); the rest is left to
requests of people. The bucket is a row that all processes share. It holds the moment at which it is full again (the
generic cell rate algorithm, ITU-T I.371): who takes a token moves it on, and waits until its own token is there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, update

from payment_service.errors import StripeUnavailable
from payment_service.storage.cursors import add_cursor
from payment_service.storage.tables import cursors

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.storage.database import Database

NAME: Final = "stripe_budget"
BURST: Final = 10
MAXIMUM_WAIT_SECONDS: Final = 15.0
_FIND: Final = select(cursors.c.value).where(cursors.c.name == NAME).with_for_update()
_MOVE: Final = (
    update(cursors).where(cursors.c.name == NAME).values(value=bindparam("n_value"), updated_at=bindparam("n_now"))
)


class StripeBudget:
    """The bucket.

    Args:
        database: where it is kept.
        clock: the time.
        per_second: tokens that flow in.
    """

    def __init__(self, database: Database, *, clock: Clock, per_second: float) -> None:
        self._database = database
        self._clock = clock
        self._interval = 1 / per_second

    async def take(self) -> None:
        """Wait for a token.

        Raises:
            StripeUnavailable: too many wait before; nothing was taken.
        """
        wait = await self._reserve()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _reserve(self) -> float:
        """Take the next token and return the seconds until it is there."""
        now = self._clock.timestamp()
        async with self._database.transaction() as connection:
            row = (await connection.execute(_FIND)).first()
            if row is None:
                await add_cursor(connection, NAME, {"full_at": now}, now=self._clock.now())
                row = (await connection.execute(_FIND)).one()
            full_at = max(float(row.value["full_at"]), now) + self._interval
            wait = full_at - now - BURST * self._interval
            if wait > MAXIMUM_WAIT_SECONDS:
                raise StripeUnavailable("Too many calls to Stripe wait for their turn", retry_after=wait)
            await connection.execute(_MOVE, {"n_value": {"full_at": full_at}, "n_now": self._clock.now()})
        return wait
