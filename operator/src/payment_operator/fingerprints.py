"""Secrets by salted fingerprints, the same that the pods report: docs/contracts.md, "Admin port"."""

import hashlib
import hmac
from typing import Final

LENGTH: Final = 16


def fingerprint(secret: str, *, salt: str) -> str:
    """The first 16 hex digits of HMAC-SHA256; the salt of an environment is its uid."""
    return hmac.new(salt.encode(), secret.encode(), hashlib.sha256).hexdigest()[:LENGTH]
