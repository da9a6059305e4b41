"""The envelope of a Stripe event: only what the inbox needs; the body is kept as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


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


envelope_decoder = msgspec.json.Decoder(EventEnvelope)
