"""The inbox's events, as the worker claims them and as people see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta

from payment_service.http.id_types import EVENT_TYPES, LINE
from payment_service.http.timestamps import Moment, check_moment
from payment_service.json_types import JsonObject
from payment_service.mirror.kind import Shape

MAXIMUM_REASON: Final = 500


class ClaimedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A claimed inbox row; nothing of its payload is read yet, for one that cannot be must not end the claim."""

    id: str
    type: str
    object_id: str
    livemode: bool
    stripe_created: int
    attempts: int
    payload: bytes


class InboxEvent(ClaimedEvent, frozen=True, kw_only=True):
    """A claimed event that was read."""

    object: JsonObject
    """The object as it was, its mode and whether it is deleted among it, which some kinds and all deletions leave out;
    of a thin event its id and kind besides, no more."""
    account: str | None
    """The connected account that it is about."""
    thin: bool
    shape: Shape | None = None
    """What is read of the object; None when nothing is shown of one that has a row."""


EventState = Literal["pending", "applied", "ignored", "dead", "discarded"]


class EventView(msgspec.Struct, kw_only=True):
    """An event of the inbox."""

    id: str
    """Stripe's id."""
    type: str
    """Stripe's type (docs.stripe.com/api/events/types)."""
    object_id: str
    """Stripe's id of the object that it is about."""
    state: Annotated[str, Meta(extra_json_schema={"enum": list(get_args(EventState))})]
    """What became of it here."""
    attempts: int
    """How often it was tried."""
    source: str
    """How it came: by webhook, or found by reconciliation."""
    api_version: str | None
    """Of Stripe's API, in which it is written; null for thin events."""
    stripe_created: datetime
    """When it happened at Stripe."""
    received_at: datetime
    """When it came here."""
    available_at: datetime
    """When it is tried again, while it is pending."""
    settled_at: datetime | None
    """When it was applied, ignored or given up; null while it waits."""
    last_error: str | None
    """Why it failed, or why it is ignored; null: neither."""
    discard_reason: str | None
    """Why a person gave it up; null: nobody did."""
    payload: dict[str, Any] | None = None
    """As received; null unless it is asked for."""
    payload_text: str | None = None
    """Instead of `payload`, null unless it cannot be read as JSON; bytes that are no text stand as `\\xNN`."""


class EventList(msgspec.Struct, kw_only=True):
    """A page of events, newest first."""

    data: list[EventView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""


class ReplayRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which settled events to apply again; at least one of the first three."""

    since: Moment | None = None
    """Received from here on."""
    type: Annotated[str, Meta(min_length=1, max_length=255, pattern=EVENT_TYPES)] | None = None
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
    """How many events."""
    by_type: dict[str, int]
    """How many of each type."""
    dry_run: bool
    """Whether they were only counted."""


class DiscardRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a dead event is given up for good."""

    reason: Annotated[str, Meta(min_length=1, max_length=MAXIMUM_REASON, pattern=LINE)]
    """For whoever asks later; it is audited."""
