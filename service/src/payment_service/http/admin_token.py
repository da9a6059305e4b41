"""Who may change a process through its admin port: whoever sends this token.

Without `PAYMENTS_ADMIN_TOKEN` it is made of `SECRET_KEY`, so that production never goes without one and nobody has to
keep one secret more. The address of a caller proves nothing there: behind a service mesh's sidecar everybody comes from
loopback. `payments drain` imports this module in a stopping pod: keep it free of imports that take time.
"""

from __future__ import annotations

PURPOSE = b"payments admin token"


def derived_token(secret_key: str) -> str:
    """Return the token that stands in for a `PAYMENTS_ADMIN_TOKEN` nobody set: 64 hex digits (HMAC-SHA-256)."""
    import hmac  # noqa: PLC0415 - loads OpenSSL; not needed where a token is set

    return hmac.digest(secret_key.encode(), PURPOSE, "sha256").hex()
