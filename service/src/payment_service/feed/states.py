"""What an object was after each of its changes, found from what it is now. Pure.

The outbox tells of a change the columns that differ, before and after. So an object after one change is what it is now,
with everything taken back that later rows tell of; the earliest of them that tells of a column has the last word.

A row may tell what no column can hold: by a fault, by another version, by hand. Such a column is `UNREADABLE` in the
states that it would follow for, unless an earlier row says to what it was changed last (`holes`, `changes`).
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import JSON, Boolean, Integer, String

from payment_service.storage.column_types import UNREADABLE, Unreadable, UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sqlalchemy import Column, Table

State = dict[str, object]
"""The columns of an object, as a row has them."""
Told = dict[str, object]
"""Columns of one side of a row of the outbox, in JSON types."""
_LARGEST: Final = 2**63 - 1
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half a character, which no UTF-8 holds."""


class ToldChange(NamedTuple):
    """A row of the outbox, with what `personal_data` holds of it."""

    seq: int
    before: Told | Unreadable | None
    """None: there was no such object."""
    after: Told | Unreadable | None
    """None: there is none any more."""


class Change(NamedTuple):
    """What an object was before a change and after it."""

    before: State | None
    after: State | None


def joined(told: object, *, personal: object, side: str) -> Told | Unreadable | None:
    """Return one side of a row of the outbox with its personal fields, as far as they were not erased.

    Args:
        told: the side, as the row holds it.
        personal: the content of `personal_data`, by side; None: there is none.
        side: `before` or `after`.
    """
    if told is None:
        return None
    beside = {} if personal is None else personal
    held = beside.get(side, {}) if isinstance(beside, dict) else None
    return {**told, **held} if isinstance(told, dict) and isinstance(held, dict) else UNREADABLE


def present(table: Table, row: Mapping[str, object]) -> State:
    """Return an object as its row is now, less what no column of its kind can hold."""
    return {name: value if _fits(table.c[name], value) else UNREADABLE for name, value in row.items()}


def changes(table: Table, *, now: State | None, told: Sequence[ToldChange]) -> dict[int, Change]:
    """Return each change by its number in the outbox.

    Args:
        table: of the object.
        now: its row, as read before `told`; None: there is none.
        told: all of its changes from some one on, ascending, with none left out.
    """
    found: dict[int, Change] = {}
    state, exists = _nothing(table) if now is None else now, now is not None
    for one in reversed(told):
        says_nothing = one.before is None and one.after is None
        if one.after is not None and not exists:  # its row went without a word
            state, exists = state | _read(table, one.after), True
        elif one.after is None and not says_nothing:
            exists = False
        after = state if exists else None
        state = _taken_back(table, one, state, told)
        exists = exists if says_nothing else one.before is not None
        found[one.seq] = Change(state if exists else None, after)
    return _filled(table, told, found) if holes(found.values()) else found


def holes(made: Iterable[Change]) -> bool:
    """Tell whether something in these states could not be read: earlier rows may help."""
    return any(UNREADABLE in state.values() for change in made for state in change if state is not None)


def state_at(seq: int, *, now: State | None, made: Mapping[int, Change]) -> State | None:
    """Return what an object was when the row `seq` of the outbox was written, which may tell of another.

    Args:
        seq: the number of that row.
        now: as in `changes`.
        made: the object's changes since then, by their numbers; earlier ones do not matter.
    """
    later = min((number for number in made if number > seq), default=None)
    return now if later is None else made[later].before


def _taken_back(table: Table, one: ToldChange, state: State, told: Sequence[ToldChange]) -> State:
    """Return what an object was before a change; what was changed from what cannot be read is not known."""
    return state | dict.fromkeys(_touched(table, one, told), UNREADABLE) | _read(table, one.before)


def _touched(table: Table, one: ToldChange, told: Sequence[ToldChange]) -> AbstractSet[str]:
    """Return the columns that a row changed: its sides name them; if neither does, all of which the others tell."""
    named = _named(one)
    if not named:
        whole = told[0].before is None and isinstance(told[0].after, dict)
        named = frozenset(name for other in told for name in _named(other)) if whole else _columns(table)
    return named & _columns(table)


def _named(one: ToldChange) -> frozenset[str]:
    return frozenset(name for side in (one.before, one.after) if isinstance(side, dict) for name in side)


@cache
def _columns(table: Table) -> frozenset[str]:
    return frozenset(table.c.keys())


def _nothing(table: Table) -> State:
    """Return an object of which nothing was said."""
    return {column.name: None if column.nullable else UNREADABLE for column in table.c}


def _filled(table: Table, told: Sequence[ToldChange], found: Mapping[int, Change]) -> dict[int, Change]:
    """Put in place of what cannot be read what the last row before said of it, if there is one."""
    known: State = {}
    filled: dict[int, Change] = {}
    for one in told:
        before = _with(found[one.seq].before, known)
        for name in _touched(table, one, told):
            known.pop(name, None)
        known |= {name: value for name, value in _read(table, one.after).items() if value is not UNREADABLE}
        filled[one.seq] = Change(before, _with(found[one.seq].after, known))
    return filled


def _with(state: State | None, known: State) -> State | None:
    if state is None:
        return None
    return {name: known.get(name, value) if value is UNREADABLE else value for name, value in state.items()}


def _read(table: Table, told: Told | Unreadable | None) -> State:
    """Return columns in the types of a row; what the table has no more is left out."""
    if not isinstance(told, dict):
        return {}
    return {name: _value(table.c[name], value) for name, value in told.items() if name in table.c}


def _value(column: Column[object], value: object) -> object:
    """Return what a row would hold; what is personal and parted or erased is null in the outbox."""
    if value is None and isinstance(column.type, JSON) and not column.nullable:
        return {}
    if isinstance(value, str) and isinstance(column.type, UtcDateTime):
        value = _moment(value)
    return value if _fits(column, value) else UNREADABLE


def _moment(text: str) -> object:
    """Return a moment; of a text that is none, or has no offset, something else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found if found.tzinfo is not None else text


def _fits(column: Column[object], value: object) -> bool:
    """Tell whether a column can hold a value."""
    if value is None:
        return bool(column.nullable)
    kind = column.type
    if isinstance(kind, String):
        return isinstance(value, str) and _SURROGATE.search(value) is None
    if isinstance(kind, Boolean):
        return isinstance(value, bool)
    if isinstance(kind, Integer):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
    return isinstance(value, datetime) if isinstance(kind, UtcDateTime) else value is not UNREADABLE
