"""API keys: their form, their scopes, and how they are stored."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import datetime

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
"""Each includes the ones before it."""
KEY_PREFIX: Final = "lp_"
SHOWN_CHARACTERS: Final = 11
_RANDOM_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A stored key; the key itself is not among its members."""

    id: str
    principal: str
    prefix: str
    scope: Scope
    livemode: bool
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime

    def usable(self, *, now: datetime) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def allows(self, needed: Scope) -> bool:
        """Tell whether its scope includes `needed`."""
        return SCOPES.index(self.scope) >= SCOPES.index(needed)


def new_key() -> str:
    """Return a new key: 256 random bits behind `lp_`."""
    return KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def digest(key: str, *, secret_key: str) -> bytes:
    """Return what is stored of a key. A slow hash is not needed: the key is random, not chosen by a person."""
    return hmac.digest(secret_key.encode(), key.encode(), "sha256")
