"""Settings of the webhooks that are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from payment_service.config.work_settings import MAXIMUM_DAYS

if TYPE_CHECKING:
    from payment_service.config.environment import EnvironmentReader
    from payment_service.config.secrets import Secret

DEVELOPMENT_SIGNING_KEY: Final = "development-only-signing-key-development"
THIS_MACHINE: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Where webhooks may go, and what they are signed with."""

    allowed_networks: tuple[str, ...]
    """`PAYMENTS_WEBHOOK_ALLOWED_NETWORKS`: may receive webhooks although they are not public, for example the cluster's
    Services; by default none, in development this machine. Link-local addresses and clouds' metadata never may."""
    allow_http: bool
    """`PAYMENTS_WEBHOOK_ALLOW_HTTP`: whether they may be sent to `http://`: in development, or where the network itself
    encrypts."""
    signing_key: Secret
    """`WEBHOOK_SIGNING_KEY`: values of at least 32 characters, of which the secrets of webhook endpoints are derived,
    new ones from the first; empty: no endpoint can be made. Of the API and the worker (docs/webhook-endpoints.md)."""
    retention_days: float
    """`PAYMENTS_DELIVERY_RETENTION_DAYS`: how long it is kept what became of a delivery."""


def read_deliveries(reader: EnvironmentReader, *, development: bool) -> DeliverySettings:
    """Read them."""
    networks = reader.items("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS")
    return DeliverySettings(
        allowed_networks=networks or (THIS_MACHINE if development else ()),
        allow_http=reader.flag("PAYMENTS_WEBHOOK_ALLOW_HTTP", default=development),
        signing_key=reader.secret("WEBHOOK_SIGNING_KEY", DEVELOPMENT_SIGNING_KEY if development else ""),
        retention_days=reader.number("PAYMENTS_DELIVERY_RETENTION_DAYS", 14, minimum=1, maximum=MAXIMUM_DAYS),
    )
