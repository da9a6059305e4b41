"""Webhooks that the service sends: what they are signed with, and where they may go."""

from typing import Annotated

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, SecretRef

Network = Annotated[str, Meta(min_length=1, max_length=49, pattern="^[0-9a-fA-F.:]+(/[0-9]{1,3})?$")]


class WebhookEndpoints(Fields, frozen=True, kw_only=True):
    """Events sent to the addresses that the API's users name (docs/webhook-endpoints.md)."""

    signing_key_secret_ref: Annotated[
        SecretRef | None,
        Meta(
            description="What the secrets of webhook endpoints are derived from, 32 characters or more (key "
            "WEBHOOK_SIGNING_KEY); for API and worker. While it is replaced several, separated by commas, the new one "
            "first; pods take a change without a restart. Left out: no webhooks are sent."
        ),
    ] = None
    allowed_networks: Annotated[
        list[Network],
        Meta(
            max_length=100,
            description="Networks that webhooks may go to although they are not public, such as 10.96.0.0/12.",
        ),
    ] = msgspec.field(default_factory=list)
    allow_http: Annotated[
        bool, Meta(description="Let them go to http:// too: only where the network itself encrypts.")
    ] = False
    retention_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days that it is kept what became of a delivery.")
    ] = 14
