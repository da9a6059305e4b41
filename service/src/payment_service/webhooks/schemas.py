"""The envelope of a Stripe event: only what the inbox needs; the body is kept as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from datetime import datetime


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
    stripe_created: int
    attempts: int
    received_at: datetime
    content: dict[str, Any]
    """The decoded event."""


envelope_decoder = msgspec.json.Decoder(EventEnvelope)
