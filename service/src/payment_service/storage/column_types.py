"""Column types that mean the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, DateTime, Integer, TypeDecorator, text
from sqlalchemy.dialects.postgresql import JSONB

from payment_service.storage import dialects

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; a database that has no time zones stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        if value is None or dialects.named(dialect.name).keeps_time_zones:
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC."""
        if value is None:
            return None
        kept = dialects.named(dialect.name).keeps_time_zones
        return value.astimezone(UTC) if kept else value.replace(tzinfo=UTC)


Json = JSON().with_variant(JSONB(), "postgresql")
BigSerial = BigInteger().with_variant(Integer(), "sqlite")


def only(condition: str) -> dict[str, Any]:
    """Make an index partial, where there are such."""
    return {f"{dialect.name}_where": text(condition) for dialect in dialects.DIALECTS if dialect.has_partial_indexes}
