"""Which of two states of an object came later, as far as that can be known. Pure.

`created` of an event counts whole seconds, and events come in any order (docs.stripe.com/webhooks#event-ordering), so
time leaves ties: a payment tells five things in one second. Each rule here is one that no further event can refute,
whatever else happened in that second and has not arrived:

- A state that the row shows already changes nothing. Were the row older, a later event would say so itself.
- The event of an object's creation shows the first state that there was. A row can be no older, and all else is newer.
- What never goes back (`Course`) puts two states in order without any time.
- A state from long before the row is older: by more than any clock may be wrong.

`previous_attributes` are no such rule. An event of A to B fits a row of A, and yet is older when B became A again in
the same second. Nor does a chain of them tell: with an event of h to v and a later one of s to h, between them two that
have not arrived, s to h to v looks whole, and Stripe has h. What stays in doubt is fetched.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.storage.rows import Values

CERTAIN_SECONDS: Final = 400
"""By so much apart, two times tell what was first: 300 s that our clock may be ahead of Stripe's, for beyond them every
signature is refused (`stripe_api/signature.py`), and the rest for a call that took long."""


class Moment(Enum):
    """What the time says that a snapshot has."""

    SINCE = auto()
    """It was so then or later: the answer to a call."""
    THEN = auto()
    """It was so then: an event's."""
    FIRST = auto()
    """It was so then, and there was nothing before: the event of a creation."""


class Ended(NamedTuple):
    """Which values of a column an object never leaves again."""

    column: str
    values: frozenset[str | bool]

    def covers(self, columns: Values) -> bool:
        """Tell whether the object has ended."""
        return columns[self.column] in self.values


class Course(NamedTuple):
    """What of an object never goes back."""

    ended: Ended | None = None
    stage: Callable[[Values], tuple[int, ...]] | None = None
    """Returns what only grows while the object has not ended."""

    def position(self, columns: Values) -> tuple[int, ...]:
        """Return how far an object has come; two states at the same position are in no order."""
        if self.ended is not None and self.ended.covers(columns):
            return (1,)
        return (0,) if self.stage is None else (0, *self.stage(columns))


FREE: Final = Course()
"""All of an object may go back."""


def is_newer(stored: Values, columns: Values, *, as_of: int, moment: Moment, course: Course) -> bool | None:
    """Tell whether a snapshot is newer than a row; None: nobody knows, or its time and its course contradict.

    Args:
        stored: the row.
        columns: what the snapshot shows.
        as_of: its time, in Stripe's seconds.
        moment: what that time says.
        course: of objects of this kind.
    """
    reach: int = stored["stripe_updated"]
    if moment is Moment.FIRST and reach:
        return False
    by_time = _by_time(reach, as_of, moment)
    was, is_ = course.position(stored), course.position(columns)
    by_course = None if was == is_ else is_ > was
    if by_time is None and by_course is None:
        same = all(stored[name] == value for name, value in columns.items())
        return False if same else None
    if by_course is None or by_course == by_time:
        return by_time
    return by_course if by_time is None else None


def _by_time(reach: int, as_of: int, moment: Moment) -> bool | None:
    """Tell whether a snapshot of this time is newer than a row that tells of nothing after `reach`."""
    if as_of > reach:
        return True
    return False if moment is not Moment.SINCE and as_of < reach - CERTAIN_SECONDS else None
