"""Settings of the webhooks that are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from payment_service.config.environment import EnvironmentReader

THIS_MACHINE: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """Where webhooks may go."""

    allowed_networks: tuple[str, ...]
    """`PAYMENTS_WEBHOOK_ALLOWED_NETWORKS`: may receive webhooks although they are not public, for example the cluster's
    Services; by default none, in development this machine. Link-local addresses and clouds' metadata never may."""
    allow_http: bool
    """`PAYMENTS_WEBHOOK_ALLOW_HTTP`: whether they may be sent to `http://`: in development, or where the network itself
    encrypts."""


def read_deliveries(reader: EnvironmentReader, *, development: bool) -> DeliverySettings:
    """Read them."""
    networks = reader.items("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS")
    return DeliverySettings(
        allowed_networks=networks or (THIS_MACHINE if development else ()),
        allow_http=reader.flag("PAYMENTS_WEBHOOK_ALLOW_HTTP", default=development),
    )
