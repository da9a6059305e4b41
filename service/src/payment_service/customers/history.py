"""Whether every customer that the account had before this service has a row here: only then is a missing row proof.

The import (`reconcile/importing.py`) notes in the row `import` of `cursors` when it began and, as `completed_at`, when
it was complete, in Stripe's seconds. An account without any customer needs none: whoever asks first notes that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.mirror.kind import IMPORT
from payment_service.storage.cursors import read_cursor, write_cursor
from payment_service.stripe_api import calls

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.storage.database import Database
    from payment_service.stripe_api.gateway import StripeGateway


class History:
    """What the account held before this service came."""

    def __init__(self, database: Database, gateway: StripeGateway, *, clock: Clock) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._complete = False

    async def is_imported(self) -> bool:
        """Tell whether all of it is here; once it is, that stays so."""
        if not self._complete:
            async with self._database.read() as connection:
                row = await read_cursor(connection, IMPORT)
            self._complete = row is not None and row.get("completed_at") is not None
        return self._complete

    async def is_imported_or_empty(self) -> bool:
        """As `is_imported`; an account without customers has nothing to import, and that is noted."""
        if await self.is_imported():
            return True
        began = int(self._clock.timestamp())
        async for _ in calls.list_customers(self._gateway, limit=1):
            return await self.is_imported()  # it may be the first one of another request
        async with self._database.transaction() as connection:
            done = {"began_at": began, "completed_at": began}
            await write_cursor(connection, IMPORT, done, now=self._clock.now())
        return True
