"""Keys that outlived the `SECRET_KEY` value of their MAC.

A key is made under one value and hashed anew under the next, so that the first can be removed; its MAC stays as it is.
Kept apart from the keys of strangers it would have to be looked up by its digest, and so would every invented key.
Instead the digests of these few keys are held in memory and read again at most every few seconds: a flood of invented
keys costs one statement in that time, whatever its size. (A MAC under a secret of its own that never changes would
need no such set, but could not be replaced when it leaks; this way nothing is left that an old value is good for.)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from payment_service.access import store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from payment_service.access.needs import KeyNeeds
    from payment_service.access.secret_keys import SecretKey
    from payment_service.clock import Clock
    from payment_service.storage.database import Database

READ_SECONDS: Final = 5.0


class Outlived:
    """Tells keys of ours from invented ones where the MAC cannot."""

    def __init__(self, database: Database, needs: KeyNeeds, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._needs = needs
        self._clock = clock
        self._livemode = livemode
        self._lock = asyncio.Lock()
        self._digests: frozenset[bytes] = frozenset()
        self._read: tuple[float, list[str]] = (float("-inf"), [])
        """When, by the clock, and while which values were in use."""

    async def holds(self, digests: Iterable[bytes], *, secret_keys: Iterable[SecretKey]) -> bool:
        """Tell whether one of `digests` belongs to a usable key whose MAC is under a value that is gone."""
        in_use = [value.id for value in secret_keys]
        if not self._fresh(in_use):
            async with self._lock:
                if not self._fresh(in_use):
                    await self._look(in_use)
        return any(digest in self._digests for digest in digests)

    def _fresh(self, in_use: list[str]) -> bool:
        return self._read[1] == in_use and abs(self._clock.timestamp() - self._read[0]) < READ_SECONDS

    async def _look(self, in_use: list[str]) -> None:
        now = self._clock.now()
        async with self._database.read() as connection:
            self._digests = await store.outlived(connection, in_use=in_use, livemode=self._livemode, now=now)
        await self._needs.read()
        self._read = (self._clock.timestamp(), in_use)
