"""What an object was after each of its changes, found from what it is now. Pure.

The outbox tells of a change the columns that differ, before and after. So an object after one change is what it is now,
with everything taken back that later rows tell of; the earliest of them that tells of a column has the last word.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import JSON, Boolean, Integer

from payment_service.storage.column_types import UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Table

State = dict[str, object]
"""The columns of an object, as a row has them."""
Told = dict[str, object]
"""Columns of one side of a row of the outbox, in JSON types."""


class ToldChange(NamedTuple):
    """A row of the outbox, with what `personal_data` holds of it."""

    seq: int
    before: Told | None
    """None: there was no such object."""
    after: Told | None
    """None: there is none any more."""


class Change(NamedTuple):
    """What an object was before a change and after it."""

    before: State | None
    after: State | None


def joined(told: Mapping[str, object] | None, personal: Mapping[str, object] | None) -> Told | None:
    """Return one side of a row of the outbox with its personal fields, as far as they were not erased."""
    return None if told is None else {**told, **(personal or {})}


def changes(table: Table, *, now: State | None, told: Sequence[ToldChange]) -> dict[int, Change]:
    """Return each change by its number in the outbox.

    Args:
        table: of the object.
        now: its row, as read before `told`; None: there is none.
        told: all of its changes from some one on, ascending, with none left out.
    """
    found: dict[int, Change] = {}
    after = now
    for one in reversed(told):
        if one.after is None:
            after = None
        elif after is None:  # its row went without a word
            after = _from_nothing(table) | _read(table, one.after)
        before = None if one.before is None else (after or _from_nothing(table)) | _read(table, one.before)
        found[one.seq] = Change(before, after)
        after = before
    return found


def state_at(seq: int, *, now: State | None, made: Mapping[int, Change]) -> State | None:
    """Return what an object was when the row `seq` of the outbox was written, which may tell of another.

    Args:
        seq: the number of that row.
        now: as in `changes`.
        made: the object's changes since then, by their numbers; earlier ones do not matter.
    """
    later = min((number for number in made if number > seq), default=None)
    return now if later is None else made[later].before


def _read(table: Table, told: Told) -> State:
    """Return columns in the types of a row; what the table has no more is left out."""
    return {name: _value(table, name, value) for name, value in told.items() if name in table.c}


def _value(table: Table, name: str, value: object) -> object:
    column = table.c[name]
    if isinstance(value, str) and isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value)
    return _empty(table)[name] if value is None and not column.nullable else value


def _from_nothing(table: Table) -> State:
    return dict(_empty(table))


_EMPTY: Final[dict[str, State]] = {}
_BEGINNING: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _empty(table: Table) -> State:
    """Return a row in which nothing is known."""
    if table.name not in _EMPTY:
        _EMPTY[table.name] = {column.name: None if column.nullable else _zero(column.type) for column in table.c}
    return _EMPTY[table.name]


def _zero(kind: object) -> object:
    zeros: Iterable[tuple[type, object]] = (
        (UtcDateTime, _BEGINNING),
        (JSON, {}),
        (Boolean, False),
        (Integer, 0),
    )
    return next((zero for of, zero in zeros if isinstance(kind, of)), "")
