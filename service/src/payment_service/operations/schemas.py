"""The values that operations and idempotency keys are made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from payment_service.operations.state import State

STRIPE_KEY_SECONDS: Final = 23 * 3600
"""Stripe may forget an idempotency key after 24 h (docs.stripe.com/api/idempotent_requests)."""
REFERENCE_DIGITS: Final = 32
"""128 bits in hexadecimal, as in our ids."""
JSON: Final = "application/json"
S_co = TypeVar("S_co", bound=State, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """One use of the `Idempotency-Key` header and what it is bound to."""

    principal: str
    livemode: bool
    method: str
    route: str
    key: str
    fingerprint: bytes

    def operation_reference(self, lineage: str) -> str:
        """Name the request at Stripe: the same for each use of the key, also when the database has lost the first.

        `lineage` names the database and all its dumps (`storage/recovery.py`): others, which may share the Stripe
        account, have their own use of the same key.
        """
        bound = [lineage, self.principal, self.livemode, self.method, self.route, self.key]
        return f"lpk_{hashlib.sha256(msgspec.json.encode(bound)).hexdigest()[:REFERENCE_DIGITS]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """An answer as it was given, or is given now."""

    status: int
    body: bytes
    content_type: str = JSON
    replayed: bool = False
    retry_after: float | None = None
    """Seconds after which trying again makes sense; not stored, for a replay never changes."""

    @classmethod
    def of(cls, status: int, content: object, *, content_type: str = JSON) -> StoredResponse:
        """Encode `content` as JSON."""
        return cls(status=status, body=msgspec.json.encode(content), content_type=content_type)


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a mutating request asks for, and under which names."""

    id: str
    kind: str
    principal: str
    livemode: bool
    request: dict[str, object]
    """The validated request in JSON types."""
    request_id: str | None
    reference: str = ""
    """Names the operation at Stripe: made of the caller's key where one was sent, else the id."""

    def __post_init__(self) -> None:
        """Name an operation without a caller's key by its id."""
        self.reference = self.reference or self.id


class Begun(NamedTuple, Generic[S_co]):
    """How an operation begins: with its state, or with its answer already."""

    state: S_co
    response: StoredResponse | None = None


@dataclass(slots=True, kw_only=True)
class Operation(Asked, Generic[S_co]):
    """A mutating request under way: what was asked, how far it got, and the right to drive it (`fence`)."""

    state: S_co
    owner: str = ""
    fence: int = 1
    attempts: int = 1
    age_seconds: float = 0.0
    response: StoredResponse | None = None

    @classmethod
    def begin(cls, asked: Asked, begun: Begun[S_co], *, owner: str) -> Operation[S_co]:
        """Return a new operation, driven by `owner`."""
        return cls(
            id=asked.id,
            kind=asked.kind,
            principal=asked.principal,
            livemode=asked.livemode,
            request=asked.request,
            request_id=asked.request_id,
            reference=asked.reference,
            state=begun.state,
            response=begun.response,
            owner=owner,
        )

    def count_attempt(self) -> None:
        """Note that a step is begun anew: what Stripe was told in it may be done."""
        self.attempts += 1

    @property
    def stripe_keys_hold(self) -> bool:
        """Whether Stripe still answers our earlier calls under the keys of now; else what they made is looked up."""
        return self.age_seconds <= STRIPE_KEY_SECONDS and not self.state.tries

    def stripe_key(self, call: str) -> str:
        """Return the idempotency key of an outgoing call.

        It is made of what the operation's row holds before the call, so every driver sends the same one; and of the
        caller's key, so a retry that meets an older dump of the database sends it too, and Stripe answers as before.
        `tries` counts answers that Stripe has saved as a fault and would only repeat.
        """
        tries = self.state.tries
        return f"{self.reference}-{call}" + (f"-{tries}" if tries else "")
