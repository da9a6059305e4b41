"""Builds what manages webhook endpoints, and what sends to them, from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.deliveries.addresses import read_rules
from payment_service.deliveries.sender import TIMEOUT_SECONDS, Sender
from payment_service.endpoints.deliverer import Deliverer
from payment_service.endpoints.secrets import SigningKeys
from payment_service.endpoints.service import WebhookEndpoints

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.storage.database import Database

SHORTEST_LEASE_SECONDS: Final = 2 * TIMEOUT_SECONDS
"""An attempt that has begun ends before another worker may take its endpoint, also when the database is away and the
lease cannot be prolonged: what comes later about an object never overtakes it."""


def build_endpoints(settings: Settings, database: Database, *, clock: Clock) -> WebhookEndpoints:
    """Return what manages endpoints."""
    return WebhookEndpoints(
        database,
        keys=SigningKeys(settings.deliveries.signing_key),
        rules=read_rules(settings),
        clock=clock,
        livemode=settings.stripe.livemode,
    )


def build_deliverer(settings: Settings, database: Database, *, version: str, clock: Clock) -> Deliverer:
    """Return what sends to them."""
    return Deliverer(
        database,
        sender=Sender(read_rules(settings), version=version),
        keys=SigningKeys(settings.deliveries.signing_key),
        clock=clock,
        livemode=settings.stripe.livemode,
        lease_seconds=max(SHORTEST_LEASE_SECONDS, settings.work.event_lease_seconds),
        retention_days=settings.deliveries.retention_days,
    )
