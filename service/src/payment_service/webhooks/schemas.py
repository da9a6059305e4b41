"""The envelope of a Stripe event: only what the inbox needs; the body is kept as it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from payment_service.platform.moments import Moment, check_moment


class EventObject(msgspec.Struct):
    """The object that the event tells about; some (a balance) have no id."""

    id: str | None = None


class EventData(msgspec.Struct):
    """Holds the object."""

    object: EventObject


class EventEnvelope(msgspec.Struct):
    """A Stripe event (docs.stripe.com/api/events/object)."""

    id: str
    type: str
    created: int
    livemode: bool
    data: EventData
    api_version: str | None = None
    account: str | None = None
    """Set on events of connected accounts (docs.stripe.com/connect/webhooks)."""

    @property
    def object_id(self) -> str:
        """The id of the object, or of the event itself when the object has none."""
        return self.data.object.id or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEvent:
    """A claimed inbox row."""

    id: str
    type: str
    object_id: str
    livemode: bool
    stripe_created: int
    attempts: int
    content: dict[str, Any]
    """The decoded event."""


EventState = Literal["pending", "applied", "ignored", "dead"]


class EventView(msgspec.Struct, kw_only=True):
    """An event of the inbox."""

    id: str
    type: str
    object_id: str
    state: str
    attempts: int
    source: str
    api_version: str | None
    stripe_created: datetime
    received_at: datetime
    available_at: datetime
    settled_at: datetime | None
    last_error: str | None
    payload: dict[str, Any] | None = None
    """As received; only when it is asked for."""


class EventList(msgspec.Struct, kw_only=True):
    """A page of events, newest first."""

    data: list[EventView]
    has_more: bool


class ReplayRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which settled events to apply again; at least one of the first three."""

    since: Moment | None = None
    """Received from here on."""
    type: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """Of this type; `invoice.*` means every type that begins so."""
    dead: bool = False
    """Only those that were given up."""
    dry_run: bool = False
    """Count them and change nothing."""

    def __post_init__(self) -> None:
        """Refuse to replay everything by mistake."""
        if self.since is not None:
            check_moment(self.since, field="since")
        if self.since is None and self.type is None and not self.dead:
            raise ValueError("since: give since, type or dead, so that not every event is replayed by mistake")


class ReplayResult(msgspec.Struct, kw_only=True):
    """What was, or would be, applied again."""

    count: int
    by_type: dict[str, int]
    dry_run: bool


envelope_decoder = msgspec.json.Decoder(EventEnvelope)
