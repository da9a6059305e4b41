"""Makes, rotates and revokes API keys; each change is audited with who did it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from payment_service.access import store
from payment_service.access.schemas import SHOWN_CHARACTERS, ApiKey, Scope, digest, new_key
from payment_service.errors import Conflict, NotFound
from payment_service.platform import audit
from payment_service.platform.ids import new_id

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.settings import Settings


class ApiKeys:
    """The keys of one deployment."""

    def __init__(self, settings: Settings, database: Database, *, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    async def create(self, principal: str, *, scope: Scope, days: float | None, actor: str) -> tuple[str, ApiKey]:
        """Make a key and return it with its record: the only time that it can be seen."""
        now = self._clock.now()
        key = new_key()
        record = ApiKey(
            id=new_id("lpk"),
            principal=principal,
            prefix=key[:SHOWN_CHARACTERS],
            scope=scope,
            livemode=self._settings.stripe.livemode,
            expires_at=None if days is None else now + timedelta(days=days),
            revoked_at=None,
            last_used_at=None,
            created_at=now,
        )
        async with self._database.transaction() as connection:
            await self._add(connection, key, record)
            await self._audit(connection, record, action="create", actor=actor)
        return key, record

    async def list(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        async with self._database.read() as connection:
            return await store.list_all(connection)

    async def rotate(self, key_id: str, *, overlap_hours: float, actor: str) -> tuple[str, ApiKey]:
        """Make a key for the same principal; the old one goes on working for the overlap.

        Raises:
            NotFound: there is no such key.
            Conflict: it is revoked or expired.
        """
        now = self._clock.now()
        key = new_key()
        async with self._database.transaction() as connection:
            old = await self._usable(connection, key_id)
            record = replace(old, id=new_id("lpk"), prefix=key[:SHOWN_CHARACTERS], last_used_at=None, created_at=now)
            await self._add(connection, key, record)
            ends = now + timedelta(hours=overlap_hours)
            if old.expires_at is None or old.expires_at > ends:
                await store.change(connection, old.id, expires_at=ends)
            await self._audit(connection, record, action="rotate", actor=actor, replaces=old.id)
        return key, record

    async def revoke(self, key_id: str, *, actor: str) -> ApiKey:
        """End a key; every pod refuses it within seconds.

        Raises:
            NotFound: there is no such key.
            Conflict: it has ended already.
        """
        async with self._database.transaction() as connection:
            record = await self._usable(connection, key_id)
            await store.change(connection, key_id, revoked_at=self._clock.now())
            await self._audit(connection, record, action="revoke", actor=actor)
        return record

    async def _usable(self, connection: AsyncConnection, key_id: str) -> ApiKey:
        found = await store.get(connection, key_id)
        if found is None:
            raise NotFound(f"There is no key {key_id}; payments keys list shows them")
        if not found.usable(now=self._clock.now()):
            raise Conflict(f"The key {key_id} is revoked or expired already")
        return found

    async def _add(self, connection: AsyncConnection, key: str, record: ApiKey) -> None:
        await store.add(connection, record, digest=digest(key, secret_key=self._settings.secret_key.reveal()))

    async def _audit(
        self, connection: AsyncConnection, record: ApiKey, *, action: str, actor: str, replaces: str | None = None
    ) -> None:
        details = {"principal": record.principal, "scope": record.scope, "prefix": record.prefix, "replaces": replaces}
        await audit.record(
            connection,
            actor=actor,
            action=f"api_key.{action}",
            object_type="api_key",
            object_id=record.id,
            details=details,
            now=self._clock.now(),
        )
