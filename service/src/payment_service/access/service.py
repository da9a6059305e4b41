"""Who calls: in development anybody; in production the holder of an API key with the scope of the route."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from payment_service.access import store
from payment_service.access.schemas import KEY_PREFIX, ApiKey, Scope, digest
from payment_service.errors import Forbidden, TooManyRequests, Unauthorized
from payment_service.platform.limiter import Rule

if TYPE_CHECKING:
    from payment_service.errors import PaymentsError
    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.platform.limiter import Limiter
    from payment_service.settings import Settings

ANONYMOUS: Final = "anonymous"
CACHE_SECONDS: Final = 5.0
"""A revoked key stops working within this time on every pod."""
CACHED_KEYS: Final = 1000
LAST_USED_SECONDS: Final = 60.0
FAILURES_PER_MINUTE: Final = 20
MAXIMUM_KEY_CHARACTERS: Final = 200

log = structlog.get_logger("payments")


class Identity(NamedTuple):
    """Who calls."""

    principal: str
    """A name that survives the rotation of its API key."""
    key_id: str | None
    """Of the API key; None in development."""


NOBODY: Final = Identity(ANONYMOUS, None)


class Access:
    """Tells the principal of a request: a name that survives the rotation of its API key."""

    def __init__(self, settings: Settings, database: Database, *, clock: Clock, limiter: Limiter) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._limiter = limiter
        self._cache: OrderedDict[bytes, tuple[float, ApiKey, Identity]] = OrderedDict()
        self._blocked: OrderedDict[str, float] = OrderedDict()
        """Addresses with too many failures, until when; they reach no database meanwhile."""

    async def identify(self, authorization: str | None, *, scope: Scope, address: str) -> Identity:
        """Return who holds the key in the `Authorization` header (RFC 6750, section 2.1).

        Raises:
            Unauthorized: no key, or none that is known and usable.
            Forbidden: the key's scope does not include `scope`.
            TooManyRequests: too many failures from this address.
        """
        if not self._settings.production:
            return NOBODY
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or len(key) > MAXIMUM_KEY_CHARACTERS:
            raise await self._refusal(address)
        found = await self._find(key, address)
        if found is None or not found[0].usable(now=self._clock.now()):
            raise await self._refusal(address)
        if not found[0].allows(scope):
            raise Forbidden(f"This needs a key with the scope {scope}; this one has {found[0].scope}")
        return found[1]

    async def _refusal(self, address: str) -> PaymentsError:
        """Count a failed attempt and return what to answer."""
        decision = await self._limiter.check(Rule("failed_authentication", address, FAILURES_PER_MINUTE))
        if decision.allowed:
            return Unauthorized("Send a valid API key: Authorization: Bearer lp_…")
        self._blocked[address] = time.monotonic() + decision.reset_seconds
        while len(self._blocked) > CACHED_KEYS:
            self._blocked.popitem(last=False)
        return _too_many(decision.reset_seconds)

    async def _find(self, key: str, address: str) -> tuple[ApiKey, Identity] | None:
        """Look the key up; good ones are remembered for a few seconds."""
        mark = digest(key, secret_key=self._settings.secret_key.reveal())
        now = self._clock.timestamp()
        seen = self._cache.get(mark)
        if seen is not None and now - seen[0] < CACHE_SECONDS:
            return seen[1], seen[2]
        blocked = self._blocked.get(address, 0.0) - time.monotonic()
        if blocked > 0:
            raise _too_many(blocked)
        async with self._database.read() as connection:
            found = await store.find(connection, digest=mark, livemode=self._settings.stripe.livemode)
        if found is None:
            self._cache.pop(mark, None)
            return None
        identity = Identity(found.principal, found.id)
        self._cache[mark] = (now, found, identity)
        self._cache.move_to_end(mark)
        while len(self._cache) > CACHED_KEYS:
            self._cache.popitem(last=False)
        await self._note_use(found)
        return found, identity

    async def _note_use(self, key: ApiKey) -> None:
        """Record the last use, at most once a minute."""
        now = self._clock.now()
        if key.last_used_at is None or now - key.last_used_at > timedelta(seconds=LAST_USED_SECONDS):
            async with self._database.transaction() as connection:
                await store.change(connection, key.id, last_used_at=now)


def _too_many(seconds: float) -> TooManyRequests:
    return TooManyRequests("Too many failed attempts from this address; try again later", retry_after=seconds)
