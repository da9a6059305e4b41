"""What the rows of webhook endpoints and deliveries hold, and how the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from payment_service.endpoints.replay_schemas import WebhookReplayView
from payment_service.endpoints.schemas import WebhookDeliveryView, WebhookEndpointView
from payment_service.endpoints.secrets import Derivation
from payment_service.storage.webhook_tables import PENDING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from payment_service.endpoints.replay_schemas import ReplayState
    from payment_service.endpoints.schemas import DeliveryState, DisabledReason


class EndpointRow(Protocol):
    """A row of `webhook_endpoints`."""

    id: str
    url: str
    description: str | None
    event_types: list[str]
    customer_metadata: dict[str, str]
    enabled: bool
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    secret_salt: str
    secret_value: str
    former_salt: str | None
    former_value: str | None
    former_until: datetime | None
    livemode: bool
    reached: int
    failing_since: datetime | None
    failures: int
    resume_at: datetime
    due_at: datetime | None
    replay_id: str | None
    created_at: datetime


class DeliveryRow(Protocol):
    """A row of `webhook_deliveries`."""

    id: str
    endpoint_id: str
    sequence: int | None
    event_id: str
    event_type: str
    object_id: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    last_status: int | None
    last_error: str | None
    last_ms: int | None
    attempted_at: datetime | None
    settled_at: datetime | None
    created_at: datetime
    replay_id: str | None
    webhook_id: str | None


class ListedDelivery(DeliveryRow, Protocol):
    """A row with what it waits for."""

    waits_for: str | None


class ReplayRow(Protocol):
    """A row of `webhook_replays`."""

    id: str
    endpoint_id: str
    asked_since: datetime
    asked_until: datetime | None
    event_types: list[str]
    fresh_ids: bool
    events: int
    first_sequence: int
    last_sequence: int
    reached: int
    state: ReplayState
    created_at: datetime
    ended_at: datetime | None


def current(row: EndpointRow) -> Derivation:
    """Return what the secret of an endpoint is derived from."""
    return Derivation(row.secret_salt, row.secret_value)


def former(row: EndpointRow, *, now: datetime) -> Derivation | None:
    """Return what the secret before is derived from, while that signs too."""
    if row.former_salt is None or row.former_value is None or row.former_until is None or row.former_until <= now:
        return None
    return Derivation(row.former_salt, row.former_value)


def is_replayed(row: DeliveryRow) -> bool:
    """Tell whether a replay sends it again."""
    return row.replay_id is not None


def to_view(row: EndpointRow, *, now: datetime) -> WebhookEndpointView:
    """Show an endpoint."""
    return WebhookEndpointView(
        id=row.id,
        url=row.url,
        description=row.description,
        event_types=row.event_types,
        customer_metadata=row.customer_metadata,
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        disabled_at=row.disabled_at,
        failing_since=row.failing_since,
        secret_fingerprint=current(row).fingerprint,
        former_secret_until=None if former(row, now=now) is None else row.former_until,
        livemode=row.livemode,
        created_at=row.created_at,
    )


def to_delivery_view(row: ListedDelivery) -> WebhookDeliveryView:
    """Show a delivery."""
    return WebhookDeliveryView(
        id=row.id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        webhook_id=row.webhook_id or row.event_id,
        replay_id=row.replay_id,
        event_type=row.event_type,
        object_id=row.object_id,
        state=row.state,
        waits_for=row.waits_for if row.state == PENDING else None,
        attempts=row.attempts,
        due_at=row.due_at if row.state == PENDING else None,
        last_status=row.last_status,
        last_error=row.last_error,
        last_ms=row.last_ms,
        attempted_at=row.attempted_at,
        settled_at=row.settled_at,
        created_at=row.created_at,
    )


def to_replay_view(row: ReplayRow, counts: Mapping[str, int]) -> WebhookReplayView:
    """Show a replay with how many of its deliveries are in each state."""
    places = row.last_sequence - row.first_sequence + 1
    return WebhookReplayView(
        id=row.id,
        endpoint_id=row.endpoint_id,
        state=row.state,
        since=row.asked_since,
        until=row.asked_until,
        event_types=row.event_types,
        fresh_ids=row.fresh_ids,
        events=row.events,
        looked_through=min(1.0, (row.reached - row.first_sequence + 1) / places) if places > 0 else 1.0,
        pending=counts.get("pending", 0),
        delivered=counts.get("delivered", 0),
        failed=counts.get("failed", 0),
        skipped=counts.get("skipped", 0),
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
