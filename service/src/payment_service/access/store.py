"""SQL of API keys: look-ups here, changes in `access/changes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, func, or_, select

from payment_service.access.schemas import ApiKey
from payment_service.storage.tables import api_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

_DIGESTS: Final[BindParameter[bytes]] = bindparam("digests", expanding=True)
_BY_DIGEST: Final = select(api_keys).where(
    or_(api_keys.c.digest.in_(_DIGESTS), api_keys.c.former_digest.in_(_DIGESTS)),
    api_keys.c.livemode == bindparam("livemode"),
)


async def find(connection: AsyncConnection, *, digests: Sequence[bytes], livemode: bool) -> ApiKey | None:
    """Return the key that has one of these digests: of one key, under each value of `SECRET_KEY`."""
    row = (await connection.execute(_BY_DIGEST, {"digests": digests, "livemode": livemode})).first()
    return None if row is None else to_key(row)


async def get(connection: AsyncConnection, key_id: str) -> ApiKey | None:
    """Return a key by its id."""
    row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).first()
    return None if row is None else to_key(row)


async def list_all(connection: AsyncConnection) -> list[ApiKey]:
    """Return all keys, oldest first."""
    return [to_key(row) for row in await connection.execute(select(api_keys).order_by(api_keys.c.id))]


async def outlived(
    connection: AsyncConnection, *, in_use: Collection[str], livemode: bool, now: datetime
) -> frozenset[bytes]:
    """Return the digests of usable keys whose MAC is under a value that is not in use while a digest is under one."""
    table = api_keys.c
    statement = select(table.digest, table.digest_value, table.former_digest, table.former_value).where(
        _usable(livemode=livemode, now=now),
        or_(table.mac_value.is_(None), table.mac_value.not_in(in_use)),
        or_(table.digest_value.in_(in_use), table.former_value.in_(in_use)),
    )
    pairs = [pair for row in await connection.execute(statement) for pair in (row[0:2], row[2:4])]
    return frozenset(digest for digest, value in pairs if value in in_use)


async def counts(
    connection: AsyncConnection, *, livemode: bool, now: datetime
) -> list[tuple[str | None, str | None, int]]:
    """Count the usable keys by the values that their two digests are under."""
    columns = api_keys.c.digest_value, api_keys.c.former_value
    statement = select(*columns, func.count()).where(_usable(livemode=livemode, now=now)).group_by(*columns)
    return [(row[0], row[1], row[2]) for row in await connection.execute(statement)]


def _usable(*, livemode: bool, now: datetime) -> ColumnElement[bool]:
    lasting = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    return and_(api_keys.c.livemode == livemode, api_keys.c.revoked_at.is_(None), lasting)


def to_key(row: Row[Any]) -> ApiKey:
    """Build the value from a row."""
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    return ApiKey(**{name: values[name] for name in ApiKey.__dataclass_fields__})
