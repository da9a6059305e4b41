"""Makes, rotates and revokes API keys; each change is audited with who did it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from payment_service.access import changes, form, store
from payment_service.access.schemas import ApiKey
from payment_service.access.secret_keys import SecretKeys
from payment_service.errors import Conflict, NotFound, Unprocessable
from payment_service.observability.card_numbers import holds_card_number
from payment_service.storage.audit_log import ANONYMOUS
from payment_service.storage.ids import new_id

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.http.route_access import Scope
    from payment_service.storage.database import Database

MAXIMUM_PRINCIPAL_CHARACTERS: Final = 128


class ApiKeys:
    """The keys of one deployment."""

    def __init__(self, settings: Settings, database: Database, *, clock: Clock) -> None:
        self.livemode = settings.stripe.livemode
        self._secret_keys = SecretKeys(settings.secret_key, production=settings.production)
        self._database = database
        self._clock = clock

    async def create(self, principal: str, *, scope: Scope, days: float | None, actor: str) -> tuple[str, ApiKey]:
        """Make a key and return it with its record: the only time that it can be seen.

        Raises:
            Unprocessable: the principal is no name (`check_principal`).
        """
        now = self._clock.now()
        key, digests = self._new_key()
        record = ApiKey(
            id=new_id("lpk"),
            principal=check_principal(principal),
            prefix=key[: form.SHOWN_CHARACTERS],
            scope=scope,
            livemode=self.livemode,
            expires_at=None if days is None else now + timedelta(days=days),
            revoked_at=None,
            last_used_at=None,
            created_at=now,
            digest_value=digests.digest_value,
            former_value=digests.former_value,
        )
        async with self._database.transaction() as connection:
            await changes.create(changes.Change(connection, actor, now), record, digests=digests)
        return key, record

    async def list(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        async with self._database.read() as connection:
            return await store.list_all(connection)

    async def rotate(self, key_id: str, *, overlap_hours: float, actor: str) -> tuple[str, ApiKey]:
        """Make a key for the same principal; the old one goes on working for the overlap.

        Raises:
            NotFound: there is no such key.
            Conflict: it is revoked or expired, or of the other mode.
        """
        now = self._clock.now()
        key, digests = self._new_key()
        async with self._database.transaction() as connection:
            old = await self._usable(connection, key_id)
            if old.livemode is not self.livemode:
                raise Conflict(f"The key {key_id} is of the other mode; this service makes none for that")
            record = replace(
                old,
                id=new_id("lpk"),
                prefix=key[: form.SHOWN_CHARACTERS],
                last_used_at=None,
                created_at=now,
                digest_value=digests.digest_value,
                former_value=digests.former_value,
            )
            ends = now + timedelta(hours=overlap_hours)
            change = changes.Change(connection, actor, now)
            if not await changes.rotate(change, old.id, record, digests=digests, ends=ends):
                raise _ended(key_id)
        return key, record

    async def revoke(self, key_id: str, *, actor: str) -> ApiKey:
        """End a key; every pod refuses it within seconds.

        Raises:
            NotFound: there is no such key.
            Conflict: it has ended already.
        """
        async with self._database.transaction() as connection:
            record = await self._usable(connection, key_id)
            if not await changes.revoke(changes.Change(connection, actor, self._clock.now()), record):
                raise _ended(key_id)
        return record

    async def _usable(self, connection: AsyncConnection, key_id: str) -> ApiKey:
        found = await store.get(connection, key_id)
        if found is None:
            raise NotFound("There is no key with this id; payments keys list shows them")
        if not found.usable(now=self._clock.now()):
            raise _ended(key_id)
        return found

    def _new_key(self) -> tuple[str, changes.Digests]:
        """Make a key, known under the first two values: a pod that has only the old one yet knows it too."""
        first, *others = self._secret_keys.current()
        key = form.new_key(livemode=self.livemode, secret_key=first)
        return key, changes.Digests(
            digest=form.digest(key, secret_key=first),
            digest_value=first.id,
            former_digest=form.digest(key, secret_key=others[0]) if others else None,
            former_value=others[0].id if others else None,
            mac_value=first.id,
        )


def check_principal(principal: str) -> str:
    """Return the name of a principal as it is, when it can be printed, logged and typed.

    Raises:
        Unprocessable: it is empty or too long, or holds a card number or characters that do not show.
    """
    if not principal.strip():
        raise Unprocessable("principal: empty; name who will hold the key, for example shop")
    if principal != principal.strip() or len(principal) > MAXIMUM_PRINCIPAL_CHARACTERS:
        raise Unprocessable(
            f"principal: at most {MAXIMUM_PRINCIPAL_CHARACTERS} characters, without white space around them"
        )
    if principal == ANONYMOUS:
        raise Unprocessable(f"principal: {ANONYMOUS} is who calls without a key; give another name")
    if not principal.isprintable():
        raise Unprocessable("principal: holds control characters or others that do not show; leave them out")
    if holds_card_number(principal):
        raise Unprocessable("principal: holds a card number; never give one here")
    return principal


def _ended(key_id: str) -> Conflict:
    return Conflict(f"The key {key_id} is revoked or expired already")
