"""The secrets that deliveries are signed with: derived when they are needed, and kept nowhere.

A row holds a random salt and the id of a value of `WEBHOOK_SIGNING_KEY`; the secret is made of both (HKDF, RFC 5869).
So who reads the database, or a copy of it, can sign nothing, and there is no cipher to get wrong. A value stays in use
for as long as a secret of some endpoint is derived from it; rotating an endpoint's secret derives the new one from the
first value. A value that became known is replaced in that way: every secret under it has become known too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.endpoints.errors import SigningKeyMissing

if TYPE_CHECKING:
    from payment_service.config.secrets import Secret

PREFIX: Final = "whsec_"
"""Standard Webhooks 1.0, "Signature scheme": the prefix, then base64 of 24 to 64 bytes."""
SALT_BYTES: Final = 32
ID_DIGITS: Final = 16
FINGERPRINT_DIGITS: Final = 8
_HASH: Final = "sha256"


class Derivation(NamedTuple):
    """What a secret is derived from, as a row holds it."""

    salt: str
    """64 hexadecimal digits; no secret."""
    value: str
    """The id of the value of `WEBHOOK_SIGNING_KEY`."""

    @property
    def fingerprint(self) -> str:
        """Digits that tell this secret from others."""
        return hashlib.sha256(self.salt.encode()).hexdigest()[:FINGERPRINT_DIGITS]


class SigningKeys:
    """The values of `WEBHOOK_SIGNING_KEY` in use now: new secrets are derived from the first."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def new(self) -> Derivation:
        """Return what a new secret is derived from.

        Raises:
            SigningKeyMissing: the setting has no value.
        """
        values = self._secret.parts()
        if not values:
            raise SigningKeyMissing("Webhooks cannot be signed: the service lacks WEBHOOK_SIGNING_KEY")
        return Derivation(secrets.token_hex(SALT_BYTES), value_id(values[0]))

    def ids(self) -> set[str]:
        """Return the ids of the values in use."""
        return {value_id(value) for value in self._secret.parts()}

    def reveal(self, derivation: Derivation) -> str:
        """Return the secret, as `whsec_…`.

        Raises:
            SigningKeyMissing: the value that it is derived from is not in use.
        """
        for value in self._secret.parts():
            if value_id(value) == derivation.value:
                extracted = hmac.digest(bytes.fromhex(derivation.salt), value.encode(), _HASH)
                return PREFIX + base64.b64encode(_expand(extracted, "lean-payments webhook secret")).decode()
        raise SigningKeyMissing(
            f"WEBHOOK_SIGNING_KEY lacks the value {derivation.value}: put it back, or rotate the endpoint's secret"
        )


def value_id(value: str) -> str:
    """Return how rows and people name a value of the setting: 16 hexadecimal digits that tell nothing of it."""
    extracted = hmac.digest(bytes(hashlib.new(_HASH).digest_size), value.encode(), _HASH)
    return _expand(extracted, "lean-payments webhook signing key id").hex()[:ID_DIGITS]


def _expand(extracted: bytes, purpose: str) -> bytes:
    return hmac.digest(extracted, purpose.encode() + b"\x01", _HASH)
