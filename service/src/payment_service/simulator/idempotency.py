"""Stripe's idempotency, version 1 (docs.stripe.com/api/idempotent_requests).

The first answer under a key is saved once execution has begun, a 500 included; the same request again gets it with
`Idempotent-Replayed: true`; other parameters get 400; a second one while the first runs gets 409. Validation errors,
401 and 429 are not saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payment_service.simulator.errors import StripeFault

if TYPE_CHECKING:
    from payment_service.simulator.state import State


class IdempotencyKeys:
    """Saved answers by key."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: set[str] = set()

    def begin(self, key: str, fingerprint: str) -> tuple[int, str] | None:
        """Return the saved answer, or None and mark the key as running."""
        saved = self._state.objects.get(f"idem_{key}")
        if saved is not None:
            if saved["fingerprint"] != fingerprint:
                raise StripeFault(
                    400,
                    "idempotency_error",
                    f"Keys for idempotent requests can only be used with the same parameters they were first used "
                    f"with. Try using a key other than '{key}' if you meant to execute a different request.",
                )
            return saved["status"], saved["body"]
        if key in self._running:
            raise StripeFault(
                409,
                "idempotency_error",
                f"There is currently another in-progress request using this idempotency key: {key}",
                code="idempotency_key_in_use",
            )
        self._running.add(key)
        return None

    def end(self, key: str, fingerprint: str, *, status: int, body: str | None) -> None:
        """Save the answer; `body` None: nothing was executed, so nothing is saved."""
        self._running.discard(key)
        if body is None:
            return
        saved: dict[str, Any] = {
            "id": f"idem_{key}",
            "object": "_idempotency_key",
            "fingerprint": fingerprint,
            "status": status,
            "body": body,
        }
        self._state.add(saved)
