"""What the API says of events."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

MAXIMUM_WAIT: Final = 30
LATEST: Final = "latest"
CauseType = Literal["operation", "stripe_event", "reconciliation", "fetch", "import", "subscription", "other"]
FeedMembers = dict[str, Any]
"""Of an object in the API's shape, in JSON types."""
_DIGITS: Final = 16
_CHECKED: Final = 8
_LAST: Final = 2**63 - 1
"""The highest place that a database can hold."""


class FeedCause(msgspec.Struct, kw_only=True):
    """What brought a change about."""

    type: CauseType
    """`operation`: a request to this API; `stripe_event`: a message of Stripe's; `reconciliation`: what none told of;
    `fetch`: a look at Stripe in between; `import`: the history of the account; `subscription`: another one of it;
    `other`: what this version does not know."""
    id: str | None
    """Of the operation (`lpo_…`), Stripe's event (`evt_…`) or the subscription; null for others."""


class FeedData(msgspec.Struct, kw_only=True):
    """What an event tells of."""

    object: FeedMembers | None
    """The object as it was then, in the shape in which the API shows it; null: it was removed. Personal fields of a
    customer who was deleted at Stripe are null or empty. Of `other.updated`: the object's `id` and `kind` alone."""
    previous: FeedMembers | None
    """The members that were different before, with what they were, as far as that can be told; null: there was no such
    object, or it cannot be shown."""


class FeedEvent(msgspec.Struct, kw_only=True):
    """One change of one object."""

    id: str
    """Of the event; give it as `after` to go on behind it."""
    type: str
    """What happened: see the document's webhooks for all types. `other.updated`: something that cannot be shown."""
    sequence: int
    """Its place in the feed: 1, 2, 3 …, without a gap and the same for every reader."""
    object_id: str
    """Of the object: ours where it has one, else Stripe's. Events of one object are in the order of its changes."""
    data: FeedData
    """The object, and what was different."""
    cause: FeedCause
    """What brought it about."""
    created_at: datetime
    """When the change was written."""
    livemode: bool
    """Whether it is of Stripe's live mode."""


class FeedPage(msgspec.Struct, kw_only=True):
    """A part of the feed, oldest first."""

    data: list[FeedEvent]
    """The events that pass the filters; empty: none of those that were looked at."""
    has_more: bool
    """Whether there are more to look at now."""
    next: str | None
    """Give it as `after` to go on: it may be behind the last event of `data`. Null: there is no event at all yet."""


def event_id(sequence: int, *, outbox_seq: int, object_id: str, created_at: datetime) -> str:
    """Return an event's id: its place, and a few digits by which a restored database is found out.

    There the same place may hold another event, and a reader who goes on behind it would miss some.
    """
    content = f"{outbox_seq} {object_id} {created_at.timestamp():.6f}".encode()
    return f"evt_{sequence:0{_DIGITS}x}{hashlib.sha256(content).hexdigest()[:_CHECKED]}"


def place_of(cursor: str) -> int:
    """Return the place that an id names."""
    return min(int(cursor.removeprefix("evt_")[:_DIGITS], 16), _LAST)
