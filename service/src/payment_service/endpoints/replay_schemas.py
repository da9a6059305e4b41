"""What the API takes and says of replays."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from payment_service.endpoints.schemas import EventTypes
from payment_service.http.timestamps import Moment, check_moment

ReplayState = Literal["dry_run", "running", "done", "canceled"]


class ReplayWebhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be sent again."""

    since: Moment
    """Events from here on, as far as they are kept."""
    until: Moment | None = None
    """Events before this moment; null: all that were looked at for the endpoint already."""
    event_types: EventTypes = []
    """Only events of these types, as `invoice.paid` or `invoice.*`, among those that the endpoint gets; empty: all."""
    fresh_ids: bool = False
    """True: with a `webhook-id` of its own for each, so that a receiver handles again what it had. False: with the
    same as before, by which it leaves out what it had."""
    dry_run: bool = False
    """Count the events and change nothing."""

    def __post_init__(self) -> None:
        """Hold the moments to what can be."""
        check_moment(self.since, field="since")
        if self.until is not None:
            check_moment(self.until, field="until")
            if self.until <= self.since:
                raise ValueError("until: give a moment after since")


class WebhookReplayView(msgspec.Struct, kw_only=True):
    """Events that are sent again to one endpoint, after what is new."""

    id: str | None
    """Our id (`lpr_…`); null: of a dry run."""
    endpoint_id: str
    """Of the endpoint."""
    state: ReplayState
    """`running`; `done`: each was delivered, given up or skipped; `canceled`; `dry_run`: nothing is sent."""
    since: datetime
    """Events from here on."""
    until: datetime | None
    """Events before this moment; null: all that were looked at for the endpoint when it was asked for."""
    event_types: list[str]
    """Only of these types; empty: of all that the endpoint gets."""
    fresh_ids: bool
    """Whether each has a `webhook-id` of its own."""
    events: int
    """How many there are at most: those about the kinds of objects that are asked for. Which of them are of the types,
    and about customers, that are asked for is seen when they are looked at."""
    looked_through: float
    """Which part of them was looked at: 0 to 1."""
    pending: int
    """Deliveries that wait now; there are a hundred or so at once."""
    delivered: int
    """Deliveries that were answered with 2xx, of those still known."""
    failed: int
    """Deliveries that were given up after the last attempt, of those still known."""
    skipped: int
    """Deliveries that a person gave up, of those still known."""
    created_at: datetime | None
    """When it was asked for; null: of a dry run."""
    ended_at: datetime | None
    """When it was done or canceled; null before."""


class WebhookReplayList(msgspec.Struct, kw_only=True):
    """A page of replays, newest first."""

    data: list[WebhookReplayView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""
