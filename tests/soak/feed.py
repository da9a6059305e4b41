"""Writers, passes and readers of the feed at the same time, on a real PostgreSQL; and what must hold then.

Writers commit short and long transactions and roll some back. Several passes run at once and are cut off at random.
Readers poll, acknowledge what they have read, and now and then begin anew where they had acknowledged. In the end each
committed row must have one number, the numbers must have no gap, no reader may have got one twice or missed one, and
what was committed before another transaction began must stand before it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import func, select
from tests.servers.stack import development_settings

from payment_service.clock import Clock
from payment_service.feed.numbering import number_rows
from payment_service.storage.database import Database
from payment_service.storage.feed_table import feed

if TYPE_CHECKING:
    from collections.abc import Callable

ROW = (
    "INSERT INTO outbox (object_type, object_id, before, after, cause, created_at)"
    " SELECT 'thing', $1, NULL, NULL, $2, now() FROM generate_series(1, $3::integer)"
)
LOCK = "INSERT INTO cursors VALUES ($1, '{}', now()) ON CONFLICT (name) DO UPDATE SET updated_at = now()"
OBJECTS = 50
PAGE = 500
ROLLED_BACK, LONG = 0.1, 0.01
CRASHES = 0.02


@dataclass
class Books:
    """What was done, and what was found wrong."""

    begun: dict[str, float] = field(default_factory=dict)
    """By the transaction, when it began."""
    committed: dict[str, float] = field(default_factory=dict)
    rolled_back: int = 0
    passes: int = 0
    cut: int = 0
    restarts: int = 0
    gaps: list[str] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    reorderings: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        return [*self.gaps, *self.repeats, *self.reorderings, *self.lost]


class Trial:
    """One run."""

    def __init__(self, url: str, *, commits: int, writers: int = 12, readers: int = 4, longest: float = 2.0) -> None:
        self.books = Books()
        self._url = url
        self._settings = development_settings(database_url=url, stripe_url="http://127.0.0.1:1").database
        self._commits, self._writers, self._readers, self._longest = commits, writers, readers, longest
        self._names = itertools.count()
        self._written = asyncio.Event()
        self._head = 0

    async def run(self) -> Books:
        database = Database.from_settings(self._settings)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._readers):
                    group.create_task(self._read(database))
                for _ in range(3):
                    group.create_task(self._number(database))
                async with asyncio.TaskGroup() as writers:
                    for _ in range(self._writers):
                        writers.create_task(self._write())
                self._written.set()
            await self._close_books(database)
        finally:
            await database.close()
        return self.books

    async def _write(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            while len(self.books.committed) < self._commits:
                await self._one(connection)
        finally:
            await connection.close()

    async def _one(self, connection: asyncpg.Connection[Any]) -> None:
        name, thing = str(next(self._names)), f"thing_{random.randrange(OBJECTS)}"
        chance, began = random.random(), time.monotonic()
        if chance >= ROLLED_BACK + LONG:
            await connection.execute(ROW, thing, name, 1)
        else:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(LOCK, f"soak {thing}")
            await connection.execute(ROW, thing, name, random.randint(1, 3))
            if chance < LONG:
                await asyncio.sleep(random.uniform(0, self._longest))
            if chance >= LONG:
                await transaction.rollback()
                self.books.rolled_back += 1
                return
            await connection.execute(ROW, thing, name, 1)
            await transaction.commit()
        self.books.begun[name], self.books.committed[name] = began, time.monotonic()

    async def _number(self, database: Database) -> None:
        """Pass again and again, and be cut off anywhere, until every row has its number.

        A pass that finds nothing is no end: the one before was cut off, and its connection holds the lock a while yet.
        """
        while not (self._written.is_set() and await self._all_numbered(database)):
            passing = asyncio.create_task(number_rows(database, clock=Clock()))
            if random.random() < 0.05 and not self._written.is_set():
                await asyncio.sleep(random.uniform(0, 0.02))
                passing.cancel()
            with suppress(asyncio.CancelledError):
                passed = await passing
                self.books.passes += passed is not None
                await asyncio.sleep(0.01)
                continue
            self.books.cut += 1

    async def _read(self, database: Database) -> None:
        acknowledged, chance = 0, 1.0
        while True:
            numbers = await self._page(database, acknowledged)
            for place, number in enumerate(numbers, start=acknowledged + 1):
                if number != place:
                    (self.books.repeats if number < place else self.books.gaps).append(f"{number} read at {place}")
                    return
            if numbers and random.random() < chance:  # crashes with what it has not acknowledged
                self.books.restarts += 1
                chance = CRASHES
                continue
            acknowledged += len(numbers)
            if not numbers:
                if self._written.is_set() and self._head and acknowledged == self._head:
                    return
                await asyncio.sleep(random.uniform(0, 0.05))
                if self._written.is_set():
                    self._head = await self._numbered(database)

    async def _page(self, database: Database, after: int) -> list[int]:
        async with database.read() as connection:
            page = select(feed.c.sequence).where(feed.c.sequence > after).order_by(feed.c.sequence).limit(PAGE)
            return list((await connection.execute(page)).scalars())

    async def _numbered(self, database: Database) -> int:
        """Return how many rows there are to be numbered in all."""
        async with database.read() as connection:
            return int((await connection.exec_driver_sql("SELECT count(*) FROM outbox")).scalar_one())

    async def _all_numbered(self, database: Database) -> bool:
        async with database.read() as connection:
            last = (await connection.execute(select(func.max(feed.c.sequence)))).scalar_one()
        return (last or 0) == await self._numbered(database)

    async def _close_books(self, database: Database) -> None:
        statement = "SELECT sequence, cause FROM feed JOIN outbox ON seq = outbox_seq ORDER BY sequence"
        latest, last, seen = 0.0, 0, set()
        async with database.read() as connection:
            for row in await connection.exec_driver_sql(statement):
                sequence, name = row.sequence, row.cause
                if sequence != last + 1:
                    self.books.gaps.append(f"{last} is followed by {sequence}")
                if self.books.committed.get(name, latest) < latest:
                    self.books.reorderings.append(f"{name} at {sequence}")
                latest, last = max(latest, self.books.begun.get(name, latest)), sequence
                seen.add(name)
        self.books.lost += [name for name in self.books.committed if name not in seen]
        if last != await self._numbered(database):
            self.books.lost.append(f"{last} numbers of {await self._numbered(database)} rows")


def run_trial(url: str, *, commits: int, longest: float = 2.0, say: Callable[[str], object] = print) -> bool:
    """Run one and print its books; False when anything is wrong."""
    started = time.monotonic()
    books = asyncio.run(Trial(url, commits=commits, longest=longest).run())
    say(
        f"{len(books.committed)} transactions committed, {books.rolled_back} rolled back, {books.passes} passes, "
        f"{books.cut} cut off, {books.restarts} readers begun anew, {time.monotonic() - started:.0f} s"
    )
    for name in ("gaps", "repeats", "reorderings", "lost"):
        found = getattr(books, name)
        say(f"{name}: {len(found)} {'; '.join(found[:5])}")
    return not books.faults()
