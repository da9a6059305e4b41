"""Who calls: in development anybody; in production the holder of an API key with the scope of the route.

**Nobody is refused for what others did.** There is no lockout: a text without the form or without a MAC of ours costs a
few HMACs and no look-up, whoever sends it and however often; a key with a right MAC is always looked up. A key that has
ended (revoked, expired, deleted) has a right MAC too, so its refusal is remembered for as long as a good key is.

**A value of `SECRET_KEY` can be replaced without losing a key.** A key is looked up by its digests under every value in
use; one that is used is hashed anew under the first, and keeps its former digest, so that pods that have the new values
and pods that have the old ones both know it while the change spreads. A key's own MAC stays under the value that it was
made under; once that is removed, `access/outlived.py` tells it from invented ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError

from payment_service.access import changes, form, store
from payment_service.access.needs import KeyNeeds
from payment_service.access.outlived import Outlived
from payment_service.access.secret_keys import SecretKeys
from payment_service.clock import isoformat
from payment_service.errors import Forbidden, Unauthorized
from payment_service.observability.metrics import REFUSED_KEYS
from payment_service.storage.audit_log import ANONYMOUS
from payment_service.tasks import begin

if TYPE_CHECKING:
    from payment_service.access.schemas import ApiKey
    from payment_service.access.secret_keys import SecretKey
    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.http.route_access import Scope
    from payment_service.storage.database import Database

CACHE_SECONDS: Final = 5.0
"""A revoked key stops working within this time on every pod."""
CACHED_KEYS: Final = 1000
LAST_USED_SECONDS: Final = 60.0
_SEND: Final = "Send a valid API key: Authorization: Bearer lp_…"

log = structlog.get_logger("payments")


class Identity(NamedTuple):
    """Who calls."""

    principal: str
    """A name that survives the rotation of its API key."""
    key_id: str | None
    """Of the API key; None in development."""


class Verdict(NamedTuple):
    """What was found out about a key, to be remembered for a few seconds."""

    seconds: float
    """When, in seconds since the epoch."""
    found: ApiKey | None
    identity: Identity | None


NOBODY: Final = Identity(ANONYMOUS, None)


class Access:
    """Tells the principal of a request: a name that survives the rotation of its API key."""

    def __init__(self, settings: Settings, database: Database, *, clock: Clock) -> None:
        self._production = settings.production
        self._livemode = settings.stripe.livemode
        self._secret_keys = SecretKeys(settings.secret_key, production=settings.production)
        self._database = database
        self._clock = clock
        self.needs = KeyNeeds(
            self._secret_keys,
            database,
            clock=clock,
            livemode=self._livemode,
            salt=settings.fingerprint_salt,
        )
        self._outlived = Outlived(database, self.needs, clock=clock, livemode=self._livemode)
        self._good: OrderedDict[bytes, Verdict] = OrderedDict()
        self._ended: OrderedDict[bytes, Verdict] = OrderedDict()
        """Apart from the good ones, so that no number of ended keys crowds those out."""
        self._looking: dict[bytes, asyncio.Task[Verdict]] = {}
        self._noting: set[str] = set()
        """Keys whose use is being recorded: a burst records it once."""

    async def identify(self, authorization: str | None, *, scope: Scope) -> Identity:
        """Return who holds the key in the `Authorization` header (RFC 6750, section 2.1).

        Raises:
            Unauthorized: no key, or none that is known and usable here.
            Forbidden: the key's scope does not include `scope`.
        """
        if not self._production:
            return NOBODY
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise _refusal("missing", _SEND)
        key = form.parse(text)
        if key is None:
            raise _refusal("malformed", _SEND)
        if key.livemode is not self._livemode:
            raise _refusal("mode", _other_mode(livemode=self._livemode))
        found, identity = await self._find(key)
        if not found.usable(now=self._clock.now()):
            raise _refusal("ended", _ended(found), key_id=identity.key_id)
        if not found.allows(scope):
            refused = Forbidden(f"This needs a key with the scope {scope}; this one has {found.scope}")
            refused.key_id = identity.key_id
            raise refused
        return identity

    async def _find(self, key: form.Key) -> tuple[ApiKey, Identity]:
        """Look the key up, unless that was done a few seconds ago.

        Raises:
            Unauthorized: nobody made it here, or it was deleted.
        """
        secret_keys = self._secret_keys.current()
        digest = form.digest(key.text, secret_key=secret_keys[0])
        seen = self._recall(digest)
        if seen is None:
            digests = [digest, *(form.digest(key.text, secret_key=value) for value in secret_keys[1:])]
            seen = await self._look_up(key, digests, secret_keys=secret_keys)
        if seen.found is None or seen.identity is None:
            raise _refusal("unknown", _SEND)
        return seen.found, seen.identity

    def _recall(self, digest: bytes) -> Verdict | None:
        now = self._clock.timestamp()
        for remembered in (self._good, self._ended):
            seen = remembered.get(digest)
            if seen is not None and now - seen.seconds < CACHE_SECONDS:
                return seen
        return None

    async def _look_up(self, key: form.Key, digests: list[bytes], *, secret_keys: tuple[SecretKey, ...]) -> Verdict:
        """Ask the database about a key that was made here, once for all requests that show it now."""
        made_here = form.made_under(key, secret_keys) is not None
        if not made_here and not await self._outlived.holds(digests, secret_keys=secret_keys):
            raise _refusal("invented", _SEND)
        looking = self._looking.get(digests[0])
        if looking is None:
            looking = self._looking[digests[0]] = begin(self._read_key(digests, secret_keys=secret_keys))
            looking.add_done_callback(partial(self._end_look_up, digests[0]))
        return await asyncio.shield(looking)

    def _end_look_up(self, digest: bytes, looking: asyncio.Task[Verdict]) -> None:
        """Forget a look-up that has ended; asyncio would complain of a fault that nobody waits for any more."""
        del self._looking[digest]
        if not looking.cancelled():
            looking.exception()

    async def _read_key(self, digests: list[bytes], *, secret_keys: tuple[SecretKey, ...]) -> Verdict:
        now = self._clock.timestamp()
        async with self._database.read() as connection:
            found = await store.find(connection, digests=digests, livemode=self._livemode)
        usable = found is not None and found.usable(now=self._clock.now())
        verdict = Verdict(now, found, None if found is None else Identity(found.principal, found.id))
        self._remember(digests[0], verdict, usable=usable)
        if found is not None and usable:
            await self._note(found, digests, secret_keys=secret_keys)
        return verdict

    def _remember(self, digest: bytes, verdict: Verdict, *, usable: bool) -> None:
        kept, other = (self._good, self._ended) if usable else (self._ended, self._good)
        other.pop(digest, None)
        kept[digest] = verdict
        kept.move_to_end(digest)
        while len(kept) > CACHED_KEYS:
            kept.popitem(last=False)

    async def _note(self, key: ApiKey, digests: list[bytes], *, secret_keys: tuple[SecretKey, ...]) -> None:
        """Hash the key anew under the first value, and record the last use once a minute; neither refuses a request."""
        now = self._clock.now()
        stale = key.last_used_at is None or now - key.last_used_at > timedelta(seconds=LAST_USED_SECONDS)
        known = {value.id: digest for value, digest in zip(secret_keys, digests, strict=True)}
        moves = secret_keys[0].id not in key.known_under
        if key.id in self._noting or not (stale or moves):
            return
        self._noting.add(key.id)
        try:
            async with self._database.transaction() as connection:
                change = changes.Change(connection, f"api:{key.principal}", now)
                former = next((known[value] for value in key.known_under if value in known), None)
                if moves and former is not None:
                    first = secret_keys[0].id
                    await changes.rehash(change, key, known=former, digest=digests[0], digest_value=first)
                if stale:
                    await changes.note_use(change, key.id)
        except (SQLAlchemyError, OSError) as error:
            log.warning("the use of an API key could not be recorded", key=key.id, error=type(error).__name__)
        finally:
            self._noting.discard(key.id)


def _refusal(reason: str, detail: str, *, key_id: str | None = None) -> Unauthorized:
    REFUSED_KEYS.labels(reason).inc()
    error = Unauthorized(detail)
    error.reason, error.key_id = reason, key_id
    return error


def _other_mode(*, livemode: bool) -> str:
    given, mode = ("test", "live") if livemode else ("live", "test")
    return f"This is a key of {given} mode (lp_{given}_…); this service runs in {mode} mode: send a key lp_{mode}_…"


def _ended(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"The API key {key.id} was revoked at {isoformat(key.revoked_at)}; make a new one"
    at = f" at {isoformat(key.expires_at)}" if key.expires_at is not None else ""
    return f"The API key {key.id} expired{at}; make a new one"
