"""What the API takes and says of webhook endpoints and deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from payment_service.customers.schemas import Metadata, Text
from payment_service.http.id_types import FEED_TYPE, LINE

MAXIMUM_URL: Final = 2048
DeliveryState = Literal["pending", "delivered", "failed", "skipped"]
DisabledReason = Literal["asked", "gone", "failing"]
Url = Annotated[str, Meta(min_length=1, max_length=MAXIMUM_URL, pattern=LINE)]
EventTypes = Annotated[list[Annotated[str, Meta(min_length=3, max_length=64, pattern=FEED_TYPE)]], Meta(max_length=100)]


class CreateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new webhook endpoint."""

    url: Url
    """Where events are sent to by POST: https, without a user and a fragment."""
    description: Text | None = None
    """Yours, for people."""
    event_types: EventTypes = []
    """Only events of these types, as `invoice.paid`, or `invoice.*` for all about invoices; empty: of all."""
    customer_metadata: Metadata = {}
    """Only events about a customer whose metadata has all of this when the event is looked at; empty: all events."""
    enabled: bool = True
    """Whether events are sent."""


class UpdateWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be different; what is left out stays."""

    url: Url | UnsetType = UNSET
    """Where events are sent to by POST: https, without a user and a fragment."""
    description: Text | UnsetType | None = UNSET
    """Yours, for people; null: none."""
    event_types: EventTypes | UnsetType = UNSET
    """Only events of these types, as `invoice.paid` or `invoice.*`; empty: of all. For events not yet looked at."""
    customer_metadata: Metadata | UnsetType = UNSET
    """Only events about a customer whose metadata has all of this; empty: all. For events not yet looked at."""
    enabled: bool | UnsetType = UNSET
    """False: nothing is sent until it is true again; then it goes on with the event at which it stopped."""


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new secret."""

    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = 24
    """For so long the former secret signs too; 0: not at all."""


class NoFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Nothing more is to be said."""


class WebhookEndpointView(msgspec.Struct, kw_only=True):
    """Whom events are sent to."""

    id: str
    """Our id (`lpw_…`)."""
    url: str
    """Where events are sent to."""
    description: str | None
    """Yours; null without one."""
    event_types: list[str]
    """Only events of these types; empty: of all."""
    customer_metadata: dict[str, str]
    """Only events about a customer with this metadata; empty: all events."""
    enabled: bool
    """Whether events are sent."""
    disabled_reason: DisabledReason | None
    """Why not: `asked`; `gone`: it answered 410; `failing`: nothing was delivered for five days. Null while enabled."""
    disabled_at: datetime | None
    """Since when not; null while enabled."""
    failing_since: datetime | None
    """When the first of the failures was that no success came after; null without one."""
    secret_fingerprint: str
    """Tells the secret from others."""
    former_secret_until: datetime | None
    """Until when the secret before signs too; null: it does not."""
    livemode: bool
    """Whether it gets events of Stripe's live mode."""
    created_at: datetime
    """When it was created."""


class WebhookEndpointWithSecret(WebhookEndpointView, kw_only=True):
    """A webhook endpoint with its secret."""

    secret: str | None
    """Deliveries are signed with it (Standard Webhooks). This is the only answer that shows it: keep it. Null when the
    answer is repeated after the secret was replaced."""


class WebhookEndpointList(msgspec.Struct, kw_only=True):
    """A page of webhook endpoints, newest first."""

    data: list[WebhookEndpointView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""


class DeletedWebhookEndpoint(msgspec.Struct, kw_only=True):
    """A webhook endpoint that there is no more."""

    id: str
    """Of the endpoint."""
    deleted: bool
    """True."""


class WebhookDeliveryView(msgspec.Struct, kw_only=True):
    """One event on its way to one endpoint."""

    id: str
    """Our id (`lpd_…`)."""
    endpoint_id: str
    """Of the endpoint."""
    event_id: str
    """Of the event."""
    webhook_id: str
    """The header `webhook-id`: the event's id, unless a replay was asked for new ones."""
    replay_id: str | None
    """Of the replay that has sent it again; null: none has."""
    event_type: str
    """What happened, or `webhook_endpoint.test`."""
    object_id: str
    """Of the event's object: one delivery waits for those before it about the same object."""
    state: DeliveryState
    """`pending`; `delivered`: answered with 2xx; `failed`: given up after the last attempt; `skipped`: by a person."""
    waits_for: str | None
    """The delivery about the same object that has to be delivered, given up or skipped before; null: none."""
    attempts: int
    """How often it was tried."""
    due_at: datetime | None
    """When it is tried next, if it waits for nothing else; null when it is not pending."""
    last_status: int | None
    """Of the last answer; null without one."""
    last_error: str | None
    """Why the last attempt failed, in a word, as `timeout`; null: it did not."""
    last_ms: int | None
    """How long the last attempt took, in milliseconds; null without one."""
    attempted_at: datetime | None
    """When it was tried last; null: not yet."""
    settled_at: datetime | None
    """When it was delivered, given up or skipped; null while it is pending."""
    created_at: datetime
    """When it began to wait."""


class WebhookDeliveryList(msgspec.Struct, kw_only=True):
    """A page of webhook deliveries, newest first."""

    data: list[WebhookDeliveryView]
    """The page."""
    has_more: bool
    """Whether there are more in this direction."""
