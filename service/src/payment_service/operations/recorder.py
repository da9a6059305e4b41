"""Records what Stripe answered to our own calls.

Such an answer is a snapshot, as an event's is: by the time it is written, an event may have brought something newer.
Then the present object is fetched and written under the condition that the row has not changed meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from sqlalchemy.exc import IntegrityError

from payment_service.errors import StripeUnavailable
from payment_service.storage.mirror import NeedsFetch, Provenance, Seen, reach_of, see
from payment_service.stripe_api.objects import created_in, id_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.mirror.kind import Kind
    from payment_service.storage.database import Database

TRIES: Final = 10
PAUSE_SECONDS: Final = 0.02
"""At most, before the second try, and twice as long before each further one: callers who change one object at the same
moment take turns instead of failing."""
LONGEST_PAUSE_SECONDS: Final = 1.0


class ObjectRecorder:
    """Writes objects of one kind that our own calls returned.

    Args:
        database: the mirror.
        kind: of the objects.
        retrieve: asks Stripe for the present object of an id.
        clock: the time.
    """

    def __init__(
        self, database: Database, *, kind: Kind, retrieve: Callable[[str], Awaitable[JsonObject]], clock: Clock
    ) -> None:
        self._database = database
        self._kind = kind
        self._retrieve = retrieve
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def until_current(self, obj: JsonObject, write: Callable[[JsonObject, Seen | None], Awaitable[None]]) -> None:
        """Call `write` with `obj`, and again with the present object for as long as the row has moved on.

        Another transaction may make the row at the same moment; then the next try finds it.

        Raises:
            StripeUnavailable: it moves on every time; the operation is completed later.
        """
        turn = self._turns.setdefault(id_in(obj), asyncio.Lock())
        async with turn:
            await self._until_current(obj, write)

    async def _until_current(
        self, obj: JsonObject, write: Callable[[JsonObject, Seen | None], Awaitable[None]]
    ) -> None:
        seen: Seen | None = None
        for left in reversed(range(TRIES)):
            try:
                await write(obj, seen)
            except NeedsFetch:
                pause = PAUSE_SECONDS * 2 ** (TRIES - 1 - left)
                await asyncio.sleep(random.uniform(0, min(pause, LONGEST_PAUSE_SECONDS)))  # noqa: S311 - jitter
                async with self._database.read() as connection:
                    key = {self._kind.key: id_in(obj)}
                    seen = await see(connection, self._kind.table, key, reach=reach_of(self._clock))
                obj = await self._retrieve(id_in(obj))
            except IntegrityError:
                if not left:
                    raise
            else:
                return
        noun = self._kind.name.replace("_", " ")
        raise StripeUnavailable(f"The {noun} changes faster than it can be recorded", retry_after=1)

    def answered(self, obj: JsonObject, *, seen: Seen | None, cause: str) -> Provenance:
        """Return where the state comes from that Stripe answered with."""
        return Provenance(cause, created_in(obj), self._clock.now(), seen)

    async def write(self, connection: AsyncConnection, obj: JsonObject, *, seen: Seen | None, cause: str) -> None:
        """Write the object.

        Raises:
            NeedsFetch: see `until_current`.
            StripeUnreadable: a member is not as Stripe's reference says.
        """
        await self._kind.write(connection, obj, provenance=self.answered(obj, seen=seen, cause=cause))
