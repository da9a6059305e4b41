"""The Stripe webhook endpoint and how its signing secret is rotated."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from payment_operator.api.fields import Fields, SecretRef, Url

ALL: Final = "*"


class WebhookRotation(Fields, frozen=True, kw_only=True):
    """When the signing secret is rotated, and how long the former one is accepted."""

    interval_seconds: Annotated[
        int,
        Meta(ge=1, le=315_360_000, description="Time from one rotation to the next; at least a day in Live mode."),
    ] = 7_776_000
    overlap_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=2_592_000,
            description="How long the former secret is accepted at least; 600 or more in Live mode.",
        ),
    ] = 86_400
    max_overlap_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=2_592_000,
            description="How long it is accepted at most, while Stripe still has undelivered events from before.",
        ),
    ] = 345_600


class Webhook(Fields, frozen=True, kw_only=True):
    """The Stripe webhook endpoint."""

    provider: Annotated[
        Literal["Managed", "SecretRef"],
        Meta(
            description="Managed: the operator makes the endpoint at Stripe and rotates its secret. SecretRef: a "
            "person or another tool does, and writes the secret into secretRef."
        ),
    ] = "SecretRef"
    secret_ref: Annotated[
        SecretRef | None,
        Meta(
            description="Signing secrets, several separated by commas (key STRIPE_WEBHOOK_SECRET). With Managed they "
            "are accepted beside the operator's own."
        ),
    ] = None
    url: Annotated[
        Url | None, Meta(description="Public address of the webhook endpoint. Managed: what Stripe is told.")
    ] = None
    events: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=100)]],
        Meta(max_length=300, description="Managed: the types of events that the endpoint gets. Left out: all."),
    ] = msgspec.field(default_factory=list)
    rotation: Annotated[WebhookRotation, Meta(description="Rotation of the signing secret.")] = WebhookRotation()

    @property
    def wanted_events(self) -> tuple[str, ...]:
        """What the endpoint is to be sent."""
        return tuple(self.events) or (ALL,)
