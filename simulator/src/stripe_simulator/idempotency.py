"""Stripe's idempotency, version 1 (docs.stripe.com/api/idempotent_requests, docs.stripe.com/error-low-level).

The first answer under a key is saved once execution has begun, a 500 included; the same request again gets it with
`Idempotent-Replayed: true`; other parameters get 400; a second one while the first runs gets 409. Validation errors,
401 and 429 are not saved. Keys may go after 24 hours. A key belongs to the account and the mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stripe_simulator.errors import StripeFault, invalid

if TYPE_CHECKING:
    from stripe_simulator.state import State

MAXIMUM_LENGTH: Final = 255
KEPT_SECONDS: Final = 24 * 3600


class IdempotencyKeys:
    """Saved answers of one world, by key."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: set[str] = set()

    def begin(self, key: str, fingerprint: str) -> tuple[int, bytes] | None:
        """Return the saved answer, or None and mark the key as running."""
        if len(key) > MAXIMUM_LENGTH:
            raise invalid(f"Idempotency keys cannot be longer than {MAXIMUM_LENGTH} characters.")
        saved = self._state.objects.get(f"idem_{key}")
        if saved is not None and saved["created"] + KEPT_SECONDS < self._state.real_now:
            self._state.remove(saved)
            saved = None
        if saved is not None:
            if saved["fingerprint"] != fingerprint:
                raise StripeFault(
                    400,
                    "idempotency_error",
                    f"Keys for idempotent requests can only be used with the same parameters they were first used "
                    f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                )
            return saved["status"], saved["body"].encode()
        if key in self._running:
            raise StripeFault(
                409,
                "idempotency_error",
                f"There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Try again later.",
                code="idempotency_key_in_use",
            )
        self._running.add(key)
        return None

    def release(self, key: str) -> None:
        """Forget that a key is running; nothing was executed, so nothing is saved."""
        self._running.discard(key)

    def save(self, key: str, fingerprint: str, *, status: int, body: bytes) -> None:
        """Save the answer of an executed request."""
        self._running.discard(key)
        saved: dict[str, Any] = {
            "id": f"idem_{key}",
            "object": "_idempotency_key",
            "body": body.decode(),
            "created": self._state.real_now,
            "fingerprint": fingerprint,
            "status": status,
        }
        self._state.add(saved)
