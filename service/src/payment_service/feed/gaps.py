"""Numbers of the outbox that were passed by: they may still come, for a number is taken before its commit. Pure.

A number is missing because its transaction is under way or was rolled back, and a look at the table cannot tell which.
It is given up when every transaction that may have taken it has ended and its row still cannot be seen: those are the
ones that were writing at any moment after it was found missing.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Range = tuple[int, int]
"""The first and the last of numbers in a row."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that were found missing in one pass."""

    since: float
    """When, in seconds since the epoch."""
    ranges: tuple[Range, ...]
    writers: tuple[str, ...] | None = None
    """The transactions that may have taken them; None: not asked yet."""


def between(after: int, found: Sequence[int]) -> tuple[Range, ...]:
    """Return the numbers above `after` that are missing among those found, which ascend."""
    edges = zip((after, *found), found, strict=False)
    return tuple((low + 1, high - 1) for low, high in edges if high - low > 1)


def without(ranges: Iterable[Range], found: Sequence[int]) -> tuple[Range, ...]:
    """Return what is left of the ranges when the numbers found, which ascend, have come."""
    left: list[Range] = []
    for low, high in ranges:
        first, last = bisect.bisect_left(found, low), bisect.bisect_right(found, high)
        inside = (*found[first:last], high + 1)
        left += [(a, b) for a, b in between(low - 1, inside) if a <= b]
    return tuple(left)


def asks(missing: Iterable[Missing], *, patience: float, now: float) -> bool:
    """Tell whether it is time to ask who writes: most missing numbers come by themselves before."""
    return any(now - part.since >= patience for part in missing)


def settle(
    missing: Iterable[Missing], found: Sequence[int], *, writers: frozenset[str] | None, patience: float, now: float
) -> tuple[Missing, ...]:
    """Return what is still missing.

    Args:
        missing: what was before.
        found: what has come of it, ascending, as seen after `writers` were asked for.
        writers: who writes; None: that was not asked.
        patience: for how many seconds a number is waited for, before it counts who writes.
        now: the present time, in seconds since the epoch.
    """
    settled = (_settle(part, found, writers=writers, old=now - part.since >= patience) for part in missing)
    return tuple(part for part in settled if part is not None)


def _settle(part: Missing, found: Sequence[int], *, writers: frozenset[str] | None, old: bool) -> Missing | None:
    ranges = without(part.ranges, found)
    may_come = part.writers
    if writers is not None and old:
        may_come = tuple(sorted(writers if may_come is None else writers.intersection(may_come)))
    if not ranges or may_come == ():
        return None
    return Missing(since=part.since, ranges=ranges, writers=may_come)
