"""API keys as they are stored, and their scopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payment_service.http.route_access import SCOPES

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.http.route_access import Scope


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
    digest_value: str | None = None
    """The id of the `SECRET_KEY` value that its digest is under; None for keys made before values were noted."""
    former_value: str | None = None
    """The same of the digest before, if there is one."""

    @property
    def known_under(self) -> tuple[str, ...]:
        """The ids of the `SECRET_KEY` values that can find it, the newest first."""
        return tuple(value for value in (self.digest_value, self.former_value) if value)

    def usable(self, *, now: datetime) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def allows(self, needed: Scope) -> bool:
        """Tell whether its scope includes `needed`; a scope that nobody knows includes nothing."""
        return self.scope in SCOPES and SCOPES.index(self.scope) >= SCOPES.index(needed)
