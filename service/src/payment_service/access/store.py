"""SQL of API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, select, update

from payment_service.access.schemas import ApiKey
from payment_service.tables import api_keys

if TYPE_CHECKING:
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

_BY_DIGEST: Final = select(api_keys).where(
    api_keys.c.digest == bindparam("digest"), api_keys.c.livemode == bindparam("livemode")
)


async def find(connection: AsyncConnection, *, digest: bytes, livemode: bool) -> ApiKey | None:
    """Return the key with this digest."""
    row = (await connection.execute(_BY_DIGEST, {"digest": digest, "livemode": livemode})).first()
    return None if row is None else to_key(row)


async def get(connection: AsyncConnection, key_id: str) -> ApiKey | None:
    """Return a key by its id."""
    row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id).with_for_update())).first()
    return None if row is None else to_key(row)


async def list_all(connection: AsyncConnection) -> list[ApiKey]:
    """Return all keys, oldest first."""
    return [to_key(row) for row in await connection.execute(select(api_keys).order_by(api_keys.c.id))]


async def add(connection: AsyncConnection, key: ApiKey, *, digest: bytes) -> None:
    """Store a new key."""
    await connection.execute(
        insert(api_keys),
        {
            "id": key.id,
            "principal": key.principal,
            "prefix": key.prefix,
            "digest": digest,
            "scope": key.scope,
            "livemode": key.livemode,
            "expires_at": key.expires_at,
            "created_at": key.created_at,
        },
    )


async def change(connection: AsyncConnection, key_id: str, **values: Any) -> None:
    """Set columns of a key."""
    await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(values))


def to_key(row: Row[Any]) -> ApiKey:
    """Build the value from a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    return ApiKey(**{name: values[name] for name in ApiKey.__dataclass_fields__})
