"""Changes of API keys: each leaves its audit row in the same statement or transaction.

Where the database has roles they are functions of the owner's (migration 7): the application's role cannot write the
table itself, so whoever takes the application over can make or change no key without a row in the audit log that says
so. The time is the database's there, and a key is hashed anew in the name of its own principal only. Without roles they
are plain statements. Noting a use leaves no row: it changes nothing but `last_used_at`, to the present time, and a row
a minute for each key would bury all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import LargeBinary, insert, select, update

from payment_service.storage import audit_log
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.dialects import dialect_of
from payment_service.storage.statements import OwnerFunction
from payment_service.storage.tables import api_keys

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.access.schemas import ApiKey

_TYPES: Final = {
    "digest": LargeBinary,
    "former_digest": LargeBinary,
    "known": LargeBinary,
    "expires_at": UtcDateTime,
    "ends": UtcDateTime,
}
_DIGESTS: Final = ("digest", "digest_value", "former_digest", "former_value", "mac_value")
_RIGHTS: Final = ("id", "principal", "prefix", "scope", "livemode", "expires_at")
_CREATE: Final = OwnerFunction("api_key_create", "actor", *_RIGHTS, *_DIGESTS, types=_TYPES)
_ROTATE: Final = OwnerFunction("api_key_rotate", "actor", "old_id", "ends", "id", "prefix", *_DIGESTS, types=_TYPES)
_REVOKE: Final = OwnerFunction("api_key_revoke", "actor", "id", types=_TYPES)
_USED: Final = OwnerFunction("api_key_used", "id", types=_TYPES)
_REHASH: Final = OwnerFunction("api_key_rehash", "actor", "id", "known", "digest", "digest_value", types=_TYPES)


class Digests(NamedTuple):
    """A key as it is stored: digests under one or two values of `SECRET_KEY`, each with the id of its value."""

    digest: bytes
    digest_value: str
    former_digest: bytes | None
    former_value: str | None
    mac_value: str


class Change(NamedTuple):
    """Who changes something, and when by the application's clock, which counts where the database's does not."""

    connection: AsyncConnection
    actor: str
    now: datetime

    @property
    def by_function(self) -> bool:
        """Whether the database has the functions."""
        return dialect_of(self.connection).has_roles

    async def call(self, function: OwnerFunction, **values: object) -> bool:
        """Call one of the functions."""
        given = values if function is _USED else values | {"actor": self.actor}
        return bool(await function.call(self.connection, **given))


async def create(change: Change, key: ApiKey, *, digests: Digests) -> None:
    """Store a new key."""
    values = _columns(key) | digests._asdict()
    if change.by_function:
        await change.call(_CREATE, **values)
        return
    await change.connection.execute(insert(api_keys), values | {"created_at": change.now})
    await _audit(change, "create", key, expires_at=key.expires_at)


async def rotate(change: Change, old_id: str, key: ApiKey, *, digests: Digests, ends: datetime) -> bool:
    """Store a key with the rights of another, which ends; False when that one was revoked meanwhile."""
    if change.by_function:
        stored = digests._asdict() | {"id": key.id, "prefix": key.prefix}
        return await change.call(_ROTATE, old_id=old_id, ends=ends, **stored)
    values = _columns(key) | digests._asdict() | {"created_at": change.now}
    await change.connection.execute(insert(api_keys), values)
    later = api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > ends)
    await change.connection.execute(update(api_keys).where(api_keys.c.id == old_id, later).values(expires_at=ends))
    await _audit(change, "rotate", key, replaces=old_id, old_ends_at=ends)
    return True


async def revoke(change: Change, key: ApiKey) -> bool:
    """End a key; False when it was ended meanwhile."""
    if change.by_function:
        return await change.call(_REVOKE, id=key.id)
    statement = update(api_keys).where(api_keys.c.id == key.id).values(revoked_at=change.now)
    await change.connection.execute(statement)
    await _audit(change, "revoke", key)
    return True


async def note_use(change: Change, key_id: str) -> None:
    """Record that a key was used now."""
    if change.by_function:
        await change.call(_USED, id=key_id)
        return
    statement = update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=change.now)
    await change.connection.execute(statement)


async def rehash(change: Change, key: ApiKey, *, known: bytes, digest: bytes, digest_value: str) -> None:
    """Store a key's digest under another value; the `known` one becomes the former digest."""
    if change.by_function:
        await change.call(_REHASH, id=key.id, known=known, digest=digest, digest_value=digest_value)
        return
    row: Row[Any] = (await change.connection.execute(select(api_keys).where(api_keys.c.id == key.id))).one()
    if digest_value in {row.digest_value, row.former_value}:
        return
    former = row.digest_value if row.digest == known else row.former_value
    values = {"digest": digest, "digest_value": digest_value, "former_digest": known, "former_value": former}
    await change.connection.execute(update(api_keys).where(api_keys.c.id == key.id).values(values))
    await _audit(change, "rehash", key, secret_key=digest_value, former_secret_key=former)


def _columns(key: ApiKey) -> dict[str, object]:
    return {name: getattr(key, name) for name in _RIGHTS}


async def _audit(change: Change, verb: str, key: ApiKey, **more: object) -> None:
    await audit_log.record(
        change.connection,
        actor=change.actor,
        action=f"api_key.{verb}",
        object_type="api_key",
        object_id=key.id,
        details={"principal": key.principal, "scope": key.scope, "prefix": key.prefix, **more},
        now=change.now,
    )
