"""The values of `SECRET_KEY`: the first signs, every one verifies.

No value is used as it is. What API keys need is derived from it, a key for each purpose (HKDF, RFC 5869, without salt),
so that what one purpose gives away helps against no other. The `id` of a value stands in the rows that depend on it: it
is derived too, and tells nothing about a value that was made as asked (`openssl rand -hex 32`).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from payment_service.config.checks import secret_key_problems
from payment_service.config.secrets import fingerprint
from payment_service.errors import ServiceUnavailable

if TYPE_CHECKING:
    from payment_service.config.secrets import Secret

ID_CHARACTERS: Final = 16
_HASH: Final = "sha256"
_HASH_BYTES: Final = 32

log = structlog.get_logger("payments")


class SecretKey(NamedTuple):
    """One value, as what is derived from it."""

    id: str
    """16 hex digits, by which rows and people name the value."""
    mac: bytes
    """Signs the form of API keys."""
    digest: bytes
    """API keys are stored as HMACs under it."""


class SecretKeys:
    """The values in use now; they change with the file that `SECRET_KEY_FILE` names."""

    def __init__(self, secret: Secret, *, production: bool) -> None:
        self._secret = secret
        self._production = production
        self._read: tuple[str, ...] = ()
        self._used: tuple[str, ...] = ()
        self._current: tuple[SecretKey, ...] = ()

    def current(self) -> tuple[SecretKey, ...]:
        """Return the values, the one that signs first.

        The settings' checks have seen the first ones. A file that becomes unusable later (empty, too short a value)
        changes nothing but the log: the last usable values stay.

        Raises:
            ServiceUnavailable: there was never a usable one.
        """
        parts = self._secret.parts()
        if parts != self._read:
            self._read = parts
            problems = list(secret_key_problems(parts)) if self._production and self._current else []
            if problems or not parts:
                told = [problem.removeprefix("SECRET_KEY: ") for problem in problems] or ["empty"]
                log.error("SECRET_KEY became unusable; the last values stay in use", problems=told)
            else:
                self._used = parts
                self._current = tuple(derive(value) for value in parts)
        if not self._current:
            log.error("SECRET_KEY has no usable value")
            raise ServiceUnavailable("API keys cannot be checked now; try again later")
        return self._current

    def fingerprints(self, *, salt: str) -> list[str]:
        """Return the salted fingerprints of the values in use, in the same order; a worker has none."""
        if self._secret.parts():
            self.current()
        return [fingerprint(value, salt=salt) for value in self._used]


def derive(value: str) -> SecretKey:
    """Derive from one value of `SECRET_KEY` what is needed of it."""
    extracted = hmac.digest(bytes(_HASH_BYTES), value.encode(), _HASH)

    def expand(purpose: str) -> bytes:
        return hmac.digest(extracted, purpose.encode() + b"\x01", _HASH)

    return SecretKey(
        id=expand("lean-payments secret key id").hex()[:ID_CHARACTERS],
        mac=expand("lean-payments api key mac"),
        digest=expand("lean-payments api key digest"),
    )
