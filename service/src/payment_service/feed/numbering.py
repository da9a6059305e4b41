"""Numbers what the outbox holds, one pass at a time.

Rows of the outbox are numbered by the database when they are written, so they are seen in another order: who writes
first may commit last, and who rolls back leaves a hole. So a reader of those numbers would pass by what comes late. A
pass gives each row that it can see, and that has none, the next number of the feed; it holds the one lock of all passes
and commits its numbers together with its position. So whoever reads sees the numbers 1 to n, whenever and wherever it
reads, and a row has the same one for ever (docs/decisions/0010-one-order-of-events.md has the proof).
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from sqlalchemy import and_, bindparam, func, insert, or_, select

from payment_service.feed import gaps
from payment_service.feed.gaps import Missing
from payment_service.storage.cursors import add_cursor, write_cursor
from payment_service.storage.dialects import dialect_of
from payment_service.storage.feed_table import POSITION, feed
from payment_service.storage.tables import cursors, outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.feed.gaps import Range
    from payment_service.storage.database import Database
    from payment_service.storage.dialects.interface import Look

BATCH: Final = 2_000
"""Rows of one pass at most, late ones aside."""
RANGES: Final = (1, 8, 64, 512)
"""Ranges of one statement; with few sizes there are few statements to prepare."""
NO_RANGE: Final = (0, -1)
_TAKE: Final = select(cursors.c.value).where(cursors.c.name == POSITION).with_for_update(skip_locked=True)
_THERE: Final = select(cursors.c.value).where(cursors.c.name == POSITION)
_NEWEST: Final = select(func.coalesce(func.max(outbox.c.seq), 0))
_NEW: Final = select(outbox.c.seq).where(outbox.c.seq > bindparam("seen")).order_by(outbox.c.seq).limit(BATCH)
_NUMBER: Final = insert(feed)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far the numbers are."""

    sequence: int = 0
    """The last one given."""
    seen: int = 0
    """The highest number of the outbox that a pass has come to."""
    missing: tuple[Missing, ...] = ()
    """Lower ones that may still come."""


class Passed(NamedTuple):
    """What a pass has done."""

    numbered: int
    more: bool
    """Whether there is more to number at once."""


async def is_due(database: Database) -> bool:
    """Tell whether a pass may find anything."""
    async with database.read() as connection:
        value = (await connection.execute(_THERE)).scalar_one_or_none()
        position = Position() if value is None else msgspec.convert(value, Position)
        return bool(position.missing) or (await connection.execute(_NEWEST)).scalar_one() > position.seen


async def number_rows(database: Database, *, clock: Clock) -> Passed | None:
    """Number what can be seen; None: another pass is under way."""
    async with database.transaction() as connection:
        value = (await connection.execute(_TAKE)).scalar_one_or_none()
        if value is None and not await _begin(connection, clock=clock):
            return None
        position = Position() if value is None else msgspec.convert(value, Position)
        return await _pass(connection, position, clock=clock)


async def _begin(connection: AsyncConnection, *, clock: Clock) -> bool:
    """Make the position if there is none; False: there is one, and somebody holds it."""
    if (await connection.execute(_THERE)).scalar_one_or_none() is not None:
        return False
    return await add_cursor(connection, POSITION, msgspec.to_builtins(Position()), now=clock.now())


async def _pass(connection: AsyncConnection, position: Position, *, clock: Clock) -> Passed:
    """Number in the order of the outbox.

    The three looks stand in this order: who had ended before the first is seen by the second and third; and whatever
    was committed before a row of the second began is seen by the second or the third.
    """
    now, look = clock.timestamp(), partial(_find_late, [part for group in position.missing for part in group.ranges])
    patience, writers = await _writers(connection, position, look=look, now=now)
    fresh = list((await connection.execute(_NEW, {"seen": position.seen})).scalars())
    late = await look(connection)
    seqs = [*late, *fresh]
    left = gaps.settle(position.missing, late, writers=writers, patience=patience, now=now)
    if passed_by := gaps.between(position.seen, fresh):
        left = (*left, Missing(since=now, ranges=passed_by))
    reached = Position(sequence=position.sequence + len(seqs), seen=fresh[-1] if fresh else position.seen, missing=left)
    if seqs:
        numbers = enumerate(seqs, start=position.sequence + 1)
        await connection.execute(_NUMBER, [{"sequence": number, "outbox_seq": seq} for number, seq in numbers])
    if reached != position:
        await write_cursor(connection, POSITION, msgspec.to_builtins(reached), now=clock.now())
    return Passed(len(seqs), more=len(fresh) == BATCH)


async def _writers(
    connection: AsyncConnection, position: Position, *, look: Look, now: float
) -> tuple[float, frozenset[str] | None]:
    """Return for how long numbers are waited for, and who writes where some are missing for longer."""
    if not position.missing:
        return 0.0, None
    dialect = dialect_of(connection)
    patience = await dialect.patience(connection)
    if not gaps.asks(position.missing, patience=patience, now=now):
        return patience, None
    return patience, await dialect.open_writers(connection, outbox, rows=look)


async def _find_late(ranges: Sequence[Range], connection: AsyncConnection) -> list[int]:
    """Return the rows that have come of missing numbers, ascending."""
    found: list[int] = []
    for part in _parts(ranges):
        values = {
            f"{side}_{place}": bound for place, pair in enumerate(part) for side, bound in zip("ab", pair, strict=True)
        }
        found += (await connection.execute(_among(len(part)), values)).scalars()
    return sorted(found)


def _parts(ranges: Sequence[Range]) -> Iterator[list[Range]]:
    """Yield the ranges in parts of the sizes of `RANGES`, filled up with what holds nothing."""
    for begin in range(0, len(ranges), RANGES[-1]):
        part = list(ranges[begin : begin + RANGES[-1]])
        size = next(size for size in RANGES if size >= len(part))
        yield part + [NO_RANGE] * (size - len(part))


@cache
def _among(size: int) -> Select[int]:
    within = (and_(outbox.c.seq >= bindparam(f"a_{n}"), outbox.c.seq <= bindparam(f"b_{n}")) for n in range(size))
    return select(outbox.c.seq).where(or_(*within))
