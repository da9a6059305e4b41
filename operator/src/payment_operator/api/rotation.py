"""What the operator reports about each secret that is rotated."""

from typing import Annotated, Literal

import msgspec
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


KeyState = Literal["Current", "Releasing", "Refused", "Unknown"]
PasswordState = Literal["Current", "Preparing", "Releasing", "Retaining", "Failed"]


class PendingKey(Fields, frozen=True, kw_only=True):
    """An API key that stands in the source Secret and is not in use."""

    fingerprint: Annotated[str, Meta(description="Salted fingerprint, as the pods report it.")]
    state: Annotated[
        Literal["Valid", "Refused", "Unknown"],
        Meta(description="Valid: it is released. Refused: by Stripe, see the reason. Unknown: Stripe did not answer."),
    ]
    reason: Annotated[str, Meta(description="Why, as one word.")] = ""
    message: Annotated[str, Meta(description="Why, for people.")] = ""
    account: Annotated[str, Meta(description="Its account, if Stripe tells it.")] = ""
    checked_at: Annotated[str, Meta(description="When Stripe was asked last.")]


class ApiKeyStatus(Fields, frozen=True, kw_only=True):
    """The Stripe API key."""

    state: Annotated[
        KeyState,
        Meta(
            description="Current: the key of the source Secret is in use. Releasing: it is on its way. Refused, "
            "Unknown: see pending."
        ),
    ]
    version: Annotated[int, Meta(description="Version of the credentials in use.")] = 0
    fingerprint: Annotated[str, Meta(description="Salted fingerprint of the key in use.")] = ""
    account: Annotated[str, Meta(description="Its account, if Stripe has told it.")] = ""
    rotated_at: Annotated[str | None, Meta(description="Since when it is in use.")] = None
    next_rotation: Annotated[str | None, Meta(description="When a new key should be there.")] = None
    pending: Annotated[PendingKey | None, Meta(description="The key that is not in use yet.")] = None
    revocable: Annotated[
        str | None, Meta(description="Last characters of the old key, once it can be revoked at Stripe.")
    ] = None


class DatabasePasswordStatus(Fields, frozen=True, kw_only=True):
    """The application's database password."""

    state: Annotated[
        PasswordState,
        Meta(
            description="Preparing: the idle role gets its password. Releasing: it is on its way. Retaining: the "
            "former role still logs in, for the way back. Failed: see the message."
        ),
    ]
    version: Annotated[int, Meta(description="Number of the rotation.")] = 0
    role: Annotated[str, Meta(description="The role in use.")] = ""
    former_role: Annotated[str | None, Meta(description="The role that is locked when its pods have ended.")] = None
    fingerprint: Annotated[str, Meta(description="Salted fingerprint of the password in use.")] = ""
    rotated_at: Annotated[str | None, Meta(description="When it was made.")] = None
    next_rotation: Annotated[str | None, Meta(description="When the next rotation begins.")] = None
    message: Annotated[str, Meta(description="What it waits for, or why it failed.")] = ""


class SecretKeyValue(Fields, frozen=True, kw_only=True):
    """A value of SECRET_KEY that pods have."""

    fingerprint: Annotated[str, Meta(description="Salted fingerprint, as the pods report it.")]
    id: Annotated[str, Meta(description="As payments secret-key names it; empty until a pod has told it.")] = ""
    signs: Annotated[bool, Meta(description="Whether new API keys are made under it: one value does.")] = False
    keys_needing: Annotated[
        int | None, Meta(description="API keys that no other value finds; left out while pods do not tell.")
    ] = None
    retained: Annotated[
        bool, Meta(description="Whether it is gone from the Secret that secretKeyRef names, and kept for these keys.")
    ] = False


class SecretKeyStatus(Fields, frozen=True, kw_only=True):
    """SECRET_KEY, which API keys are hashed under."""

    state: Annotated[
        Literal["Current", "Accepting", "Moving", "Removable", "Retaining", "Failed"],
        Meta(
            description="Current: one value is in use. Accepting: pods learn a new value or order. Moving: API keys "
            "move to the first value when they are used. Removable: none needs the others; take them out of the "
            "Secret. Retaining: a value is gone from the Secret and kept, for keys need it. Failed: keys are refused, "
            "or there are too many values; see the message."
        ),
    ]
    version: Annotated[int, Meta(description="How many values have signed.")] = 0
    fingerprint: Annotated[str, Meta(description="Salted fingerprint of the value that signs.")] = ""
    rotated_at: Annotated[str | None, Meta(description="Since when it signs.")] = None
    values: Annotated[list[SecretKeyValue], Meta(description="Every value that pods have.")] = msgspec.field(
        default_factory=list
    )
    message: Annotated[str, Meta(description="What it waits for, or what is to be done.")] = ""


class RotationStatus(Fields, frozen=True, kw_only=True):
    """The secrets that are rotated."""

    webhook: Annotated[WebhookSecretStatus | None, Meta(description="The webhook signing secret.")] = None
    api_key: Annotated[ApiKeyStatus | None, Meta(description="The Stripe API key.")] = None
    database: Annotated[DatabasePasswordStatus | None, Meta(description="The database's password.")] = None
    secret_key: Annotated[SecretKeyStatus | None, Meta(description="SECRET_KEY.")] = None
