"""The record of the webhook rotation: an annotation of the hot Secret, so that one write moves record and secrets.

`next` is the endpoint that is being made: it is disabled, the pods learn its secret. `current` is the one in use.
`former` served before; it goes when the overlap is over. The record holds no secrets, only their fingerprints.
"""

from typing import Final, Literal

import msgspec

from payment_operator import names
from payment_operator.resources.metadata import Manifest

ANNOTATION: Final = f"{names.GROUP}/webhook-rotation"
Step = Literal["", "Creating", "Accepting", "Overlapping", "Retiring", "Abandoning"]


class StoredEndpoint(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """An endpoint of ours, and which of the hot Secret's values signs for it."""

    id: str
    fingerprint: str
    api_version: str = ""


class WebhookRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """How far the rotation is."""

    number: int = 0
    """Of the rotation; written before anything is made at Stripe."""
    attempt: int = 1
    """Number and attempt make the idempotency key of the creation."""
    step: Step = ""
    at: str = ""
    """Since when it is in this step."""
    api_version: str = ""
    """What the next endpoint is made with: part of what the idempotency key stands for."""
    url: str = ""
    """The same."""
    current: StoredEndpoint | None = None
    next: StoredEndpoint | None = None
    former: StoredEndpoint | None = None
    enabled_at: str = ""
    rotated_at: str = ""
    failed_at: str = ""
    message: str = ""
    verified: bool = False
    """Whether an event has been verified with the current secret since it was enabled."""
    warned: bool = False
    compromised: bool = False
    """Whether a secret has leaked: no overlap, and a rotation that fails is begun anew."""
    again: bool = False
    """Whether another rotation follows at once: a secret leaked while this one brought its new one."""
    operation: str = ""
    """Id of the request that began it."""
    source: str = ""
    """Fingerprint of secretRef's first value."""
    left: dict[str, str] = msgspec.field(default_factory=dict)
    """Values that are in no source any more, by fingerprint, and since when."""

    def endpoints(self) -> list[StoredEndpoint]:
        """Those of ours that exist."""
        return [item for item in (self.current, self.next, self.former) if item is not None]

    def at_step(self, step: Step, *, at: str) -> "WebhookRecord":
        """The record in another step."""
        return msgspec.structs.replace(self, step=step, at=at)

    def finished(self, *, at: str) -> "WebhookRecord":
        """The record once its rotation is complete; another one that must follow replaces a leaked secret."""
        return msgspec.structs.replace(self, step="", at=at, compromised=self.again, again=False)


def decode(secret: Manifest | None) -> WebhookRecord:
    """Read the record; an empty one when there is none, or it cannot be read."""
    text = ((secret or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION, "")
    try:
        return msgspec.json.decode(text, type=WebhookRecord) if text else WebhookRecord()
    except msgspec.DecodeError:
        return WebhookRecord()


def encode(record: WebhookRecord) -> str:
    """The record as the annotation holds it."""
    return msgspec.json.encode(record, order="sorted").decode()
