"""Makes events of rows of the outbox. Pure. What cannot be shown of one costs nothing to the others.

A row may tell what no view can show: written by another version, by a fault, by hand. Its event keeps its place and
shows what it can: the object without those members of `previous` that cannot be shown, or, if the object cannot be,
its kind and id, as `other.updated`. Whatever fails does so within `_attempt`, for reading what is stored never fails
(`storage.column_types.Lenient`, `feed.states`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, TypeVar

import msgspec

from payment_service.feed.catalogue import UPDATED, differing, shown
from payment_service.feed.filters import ALL_TYPES, OTHER, OTHER_UPDATED
from payment_service.feed.kinds import BY_OBJECT_TYPE
from payment_service.feed.schemas import FeedCause, FeedData, FeedEvent, event_id
from payment_service.feed.shapes import OtherView
from payment_service.storage.column_types import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.feed.catalogue import EventKind, Shown
    from payment_service.feed.history import History
    from payment_service.feed.schemas import CauseType
    from payment_service.feed.states import Change, State
    from payment_service.feed.store import Place

T = TypeVar("T")
P = ParamSpec("P")
_CAUSES: Final[dict[str, CauseType]] = {
    "lpo": "operation",
    "evt": "stripe_event",
    "rec": "reconciliation",
    "lps": "subscription",
}
_WORDS: Final[dict[str, CauseType]] = {"fetch": "fetch", "import": "import"}
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a row was written that does not say it."""
_PATH: Final = re.compile(r" - at `(\$[a-z0-9_.\[\]]*)`\Z")
_MEMBER: Final = re.compile(r"[a-z0-9_]{1,64}")


class Unshown(Exception):
    """A row cannot be shown, for a reason that is known: the message."""


class Fault(NamedTuple):
    """Why something cannot be shown."""

    reason: str
    """For logs: it names members and what is wrong with them, not what they hold."""


class Made(NamedTuple):
    """The event of a row."""

    event: FeedEvent
    object_type: str
    """The outbox's name of what the row tells of."""
    fault: Fault | None
    """Why it shows less than it should."""
    certain: bool
    """Whether it has its type for sure."""

    @property
    def kind(self) -> str:
        """The name of the object's kind, if it is known here."""
        kind = BY_OBJECT_TYPE.get(self.object_type)
        return OTHER if kind is None else kind.name


class _Parts(NamedTuple):
    """What an event says of its object."""

    type: str
    data: FeedData
    fault: Fault | None
    certain: bool


def make_event(row: Place, history: History, *, livemode: bool) -> Made:
    """Return the event of a row, whatever that holds.

    Args:
        row: of the outbox, with its number.
        history: of the objects of its page.
        livemode: the mode of objects that do not say it.
    """
    object_id, kind = history.called[row.object_type, row.object_id], BY_OBJECT_TYPE.get(row.object_type)
    parts: _Parts | Fault = Fault("its kind is not known here")
    if kind is not None:
        change = _attempt(history.change, row, kind)
        if isinstance(change, Fault):
            parts = change
        else:
            parts, livemode = _attempt(_parts, kind, change, row.cause), _livemode(change, otherwise=livemode)
    if isinstance(parts, Fault):
        least = OtherView(id=object_id, kind=row.object_type if kind is None else kind.name)
        parts = _Parts(OTHER_UPDATED, FeedData(object=msgspec.to_builtins(least), previous=None), parts, certain=False)
    event = FeedEvent(
        id=id_of(row),
        type=parts.type,
        sequence=row.sequence,
        object_id=object_id,
        data=parts.data,
        cause=_cause(row.cause),
        created_at=row.created_at if isinstance(row.created_at, datetime) else _NO_TIME,
        livemode=livemode,
    )
    return Made(event, row.object_type, parts.fault, certain=parts.certain)


def id_of(row: Place) -> str:
    """Return the id of a row's event."""
    written = row.created_at if isinstance(row.created_at, datetime) else _NO_TIME
    return event_id(row.sequence, outbox_seq=row.seq, object_id=row.object_id, created_at=written)


def _attempt(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Fault:
    """Return what a pure function makes, or why it cannot."""
    try:
        return make(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - of whatever a view and an encoder can raise
        return Fault(_reason(error))


def _parts(kind: EventKind, change: Change, cause: str) -> _Parts:
    """Return what an event says of its object.

    Raises:
        Exception: the object cannot be shown.
    """
    before, after = change
    if before is None and after is None:
        raise Unshown("neither side says that there was an object")
    now = _shown(kind, after)
    was = _attempt(_shown, kind, before)
    name = _attempt(kind.type_of, change, cause=cause)
    fault = Fault(f"previous: {was.reason}") if isinstance(was, Fault) else None
    certain = not isinstance(name, Fault)
    if isinstance(name, Fault):
        fault = fault or Fault(f"type: {name.reason}")
        name = f"{kind.name}.{UPDATED}"
    if name not in ALL_TYPES:
        raise Unshown(f"there is no type {name}")
    previous = _some_of(kind, change) if isinstance(was, Fault) else differing(was, now)
    return _Parts(name, FeedData(object=now, previous=previous), fault, certain=certain)


def _shown(kind: EventKind, state: State | None) -> Shown | None:
    """Return an object as the API shows it.

    Raises:
        Unshown: it holds what cannot be read.
        Exception: it cannot be shown for another reason.
    """
    try:
        return shown(kind, state)
    except Exception as error:
        unread = sorted(name for name, value in (state or {}).items() if value is UNREADABLE)
        if not unread:
            raise
        raise Unshown(f"not to be read: {', '.join(unread)}") from error


def _some_of(kind: EventKind, change: Change) -> Shown:
    """Return the members that were different before, those that cannot be shown left out."""
    found: Shown = {}
    if change.before is None or change.after is None:
        return found
    now = shown(kind, change.after)
    for name, value in change.before.items():
        if value != change.after[name]:
            was = _attempt(shown, kind, {**change.after, name: value})
            found |= {} if isinstance(was, Fault) else differing(was, now) or {}
    return found


def _livemode(change: Change, *, otherwise: bool) -> bool:
    said = (change.after or change.before or {}).get("livemode")
    return said if isinstance(said, bool) else otherwise


def _cause(cause: str) -> FeedCause:
    if cause in _WORDS:
        return FeedCause(type=_WORDS[cause], id=None)
    named = _CAUSES.get(cause.partition("_")[0])
    return FeedCause(type="other", id=None) if named is None else FeedCause(type=named, id=cause)


def _reason(error: Exception) -> str:
    """Return what is wrong without quoting what is stored: messages of errors do."""
    if isinstance(error, Unshown):
        return str(error)
    place = _PATH.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
    if place is not None:
        return f"{type(error).__name__} at {place[1]}"
    if isinstance(error, KeyError) and _MEMBER.fullmatch(str(error.args[0])):
        return f"there is no {error.args[0]}"
    return type(error).__name__
