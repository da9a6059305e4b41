"""What the operator reports about each secret that is rotated."""

from typing import Annotated, Literal

from msgspec import Meta

from payment_operator.api.fields import Fields


class WebhookSecretStatus(Fields, frozen=True, kw_only=True):
    """The webhook signing secret."""

    state: Annotated[
        Literal["Current", "Creating", "Accepting", "Overlapping", "Retiring", "Abandoning", "Failed"],
        Meta(
            description="Current: one secret is in use. Creating: the new endpoint is made at Stripe. Accepting: "
            "the pods learn its secret. Overlapping: both are in use. Retiring: the former endpoint is disabled, then "
            "deleted. "
            "Abandoning: the new one is removed. Failed: see the message; the former secret goes on."
        ),
    ]
    version: Annotated[int, Meta(description="Number of the rotation.")] = 0
    fingerprint: Annotated[str, Meta(description="Salted fingerprint of the secret in use, as the pods report it.")] = (
        ""
    )
    endpoint: Annotated[str, Meta(description="Id of the endpoint at Stripe. Managed only.")] = ""
    rotated_at: Annotated[str | None, Meta(description="Since when it is in use.")] = None
    next_rotation: Annotated[str | None, Meta(description="When the next rotation begins, or is due.")] = None
    message: Annotated[str, Meta(description="What it waits for, or why it failed.")] = ""


class RotationStatus(Fields, frozen=True, kw_only=True):
    """The secrets that are rotated."""

    webhook: Annotated[WebhookSecretStatus | None, Meta(description="The webhook signing secret.")] = None
