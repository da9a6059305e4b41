"""Signatures of Standard Webhooks 1.0 (standardwebhooks.com; github.com/standard-webhooks/standard-webhooks, spec).

`webhook-signature` holds `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, once for each secret, with a
space between: while a secret is rotated, receivers with the old one and with the new one both find theirs.

The package `standardwebhooks` verifies these in the tests and does not sign here: it signs text and no bytes, with one
secret, takes secrets of any length, and reads the clock's zone as UTC whatever it is. `v1a` (ed25519) is not offered:
that package knows it neither for Python nor for JavaScript.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets as randomness
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
MADE_BYTES: Final = 32
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64
"""What the specification allows ("Signature scheme")."""


class BadSecret(ValueError):
    """Not a secret of Standard Webhooks; the text does not hold it."""


def make_secret() -> str:
    """Return a new one."""
    return PREFIX + b64encode(randomness.token_bytes(MADE_BYTES)).decode()


def parse_secret(text: str) -> bytes:
    """Return the key in `text`: `whsec_` and the base64 of 24 to 64 bytes.

    Raises:
        BadSecret: it is none.
    """
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise BadSecret(f"A signing secret is {PREFIX} and the base64 of {LEAST_BYTES} to {MOST_BYTES} bytes")
    return key


def signed_headers(*, webhook_id: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the three headers of one attempt.

    Args:
        webhook_id: the same in every attempt: receivers know by it what they had already.
        timestamp: of the attempt, seconds since the Unix epoch; receivers refuse what is minutes old.
        body: as it is sent.
        secrets: one, or several during a rotation, the newest first.

    Raises:
        BadSecret: one is none, or there is none: nothing is ever sent unsigned.
    """
    if not secrets:
        raise BadSecret("There is no signing secret")
    content = b"%s.%d.%s" % (webhook_id.encode(), timestamp, body)
    signatures = (hmac.digest(parse_secret(secret), content, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{b64encode(signature).decode()}" for signature in signatures),
    }
