"""What an event is called: the first rule of its kind that fits what was before and what is now. Pure.

An object that is seen for the first time may be further than created: Stripe promises no order of its events. Then the
event is called by the state that it has reached, so that whoever waits for `invoice.paid` is told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.mirror.kind import IMPORT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Table

    from payment_service.feed.states import Change, State

    When = Callable[[State | None, State], bool]
    Sample = Mapping[str, object]
    View = Callable[[State], msgspec.Struct]

CREATED, UPDATED, DELETED, IMPORTED = "created", "updated", "deleted", "imported"


@dataclass(frozen=True, slots=True)
class Rule:
    """A type of event, when it is told, and an example."""

    type: str
    """Without the kind."""
    says: str
    when: When
    now: Sample
    """Of the example: what the object holds besides the kind's sample."""
    was: Sample | None = None
    """What it held before; None: there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """The events about one kind of object."""

    name: str
    """How their types begin."""
    noun: str
    table: Table | None
    """None: what is told is no row."""
    view: View
    shape: type[msgspec.Struct]
    sample: Sample
    """A row as it may be."""
    rules: tuple[Rule, ...]
    customer: str | None = None
    """The column with Stripe's id of the customer whose row the view reads too, as `customer`; None: it reads none."""
    is_there: Callable[[State], bool] = lambda _state: True
    """Whether a row shows an object already: one may be reserved before Stripe is asked to make it."""

    def seen(self, change: Change) -> Change:
        """Return a change without what was no object yet."""
        before = change.before
        return change if before is None or self.is_there(before) else change._replace(before=None)

    def type_of(self, change: Change, *, cause: str) -> str:
        """Return the type of the event that tells of a change."""
        before, after = change
        if after is None:
            return f"{self.name}.{DELETED}"
        if before is None and cause == IMPORT:
            return f"{self.name}.{IMPORTED}"
        fitting = (rule.type for rule in self.rules if rule.when(before, after))
        return f"{self.name}.{next(fitting, UPDATED)}"

    def all_rules(self) -> tuple[Rule, ...]:
        """Return its rules with those that every kind has, by which none is left unnamed."""
        if self.table is None:
            return self.rules
        other = Rule(UPDATED, f"Something else about {self.noun} has changed.", always, {}, {})
        return (*self.rules, other, imported(self.noun))


def always(_before: State | None, _after: State) -> bool:
    """Fit."""
    return True


def is_new(before: State | None, _after: State) -> bool:
    """Tell whether it is seen for the first time."""
    return before is None


def became(column: str, *values: object) -> When:
    """Return the condition that a column has one of these values now, and had none of them."""

    def when(before: State | None, after: State) -> bool:
        return after[column] in values and (before is None or before[column] not in values)

    return when


def left(column: str, *values: object) -> When:
    """Return the condition that a column had one of these values, and has none of them now."""

    def when(before: State | None, after: State) -> bool:
        return before is not None and before[column] in values and after[column] not in values

    return when


def filled(column: str) -> When:
    """Return the condition that a column holds something now, and held nothing."""

    def when(before: State | None, after: State) -> bool:
        return bool(after[column]) and (before is None or not before[column])

    return when


def emptied(column: str) -> When:
    """Return the condition that a column held something, and holds nothing now."""

    def when(before: State | None, after: State) -> bool:
        return before is not None and bool(before[column]) and not after[column]

    return when


def grew(column: str) -> When:
    """Return the condition that a number is higher than it was."""

    def when(before: State | None, after: State) -> bool:
        return _number(after[column]) > _number((before or {}).get(column))

    return when


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def either(*conditions: When) -> When:
    """Return the condition that one of these holds."""
    return lambda before, after: any(condition(before, after) for condition in conditions)


def both(*conditions: When) -> When:
    """Return the condition that all of these hold."""
    return lambda before, after: all(condition(before, after) for condition in conditions)


def is_now(column: str, *values: object) -> When:
    """Return the condition that a column has one of these values."""
    return lambda _before, after: after[column] in values


def created(noun: str, **now: object) -> Rule:
    """Return the rule of what is seen for the first time; `now` is what the example holds."""
    return Rule(CREATED, f"There is {noun}.", is_new, now)


def imported(noun: str) -> Rule:
    """Return the type of what was there before this service; no condition, for the cause decides."""
    return Rule(IMPORTED, f"There was {noun} before this service was.", lambda _before, _after: False, {})


def plainly(shape: type[msgspec.Struct]) -> View:
    """Return what takes the members of a shape from the columns of the same names."""

    def view(state: State) -> msgspec.Struct:
        return shape(**{name: state[name] for name in shape.__struct_fields__})

    return view


Shown = dict[str, object]
"""An object in the API's shape, in JSON types."""
_NONE: Final[Shown] = {}


def shown(kind: EventKind, state: State | None) -> Shown | None:
    """Return an object as the API shows it.

    Raises:
        Exception: it cannot be shown so: a member is missing or not as the shape says, or the view fails.
    """
    if state is None:
        return None
    body = msgspec.json.encode(kind.view(state))
    _decoder(kind.shape).decode(body)
    built: Shown = msgspec.json.decode(body)
    return built


@cache
def _decoder(shape: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(shape)


def differing(before: Shown | None, after: Shown | None) -> Shown | None:
    """Return the members that were different before; None: there was nothing."""
    if before is None:
        return None
    now = _NONE if after is None else after
    return {name: value for name, value in before.items() if name not in now or now[name] != value}
