"""Column types that mean the same on every database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, BigInteger, DateTime, Integer, Text, TypeDecorator, cast, text, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from payment_service.storage import dialects

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Dialect
    from sqlalchemy.types import TypeEngine


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


class Unreadable:
    """What stands where a value cannot be read. It is no JSON, so that nobody is shown it.

    Raises:
        ValueError: when anybody decides by it.
    """

    def __bool__(self) -> bool:
        raise ValueError("what is stored cannot be read")

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Final = Unreadable()


class Lenient(TypeDecorator[object]):
    """Reads as another type does, and what that cannot read as `UNREADABLE`: it costs no other value of the answer.

    Args:
        of: the other type.
    """

    impl = Text
    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return what the other type is to this database."""
        return self.of.dialect_impl(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], object] | None:
        """Return what reads a value."""
        read = self.of.dialect_impl(dialect).result_processor(dialect, coltype)
        return None if read is None else partial(_attempt, read)


class LenientJson(TypeDecorator[object]):
    """Reads JSON that is selected as text: some drivers decode JSON where no fault of it can be kept in its place."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:  # noqa: ARG002 - SQLAlchemy's signature
        """Return what the text says."""
        return None if value is None else _attempt(json.loads, value)


def _attempt(read: Callable[[Any], object], value: object) -> object:
    try:
        return read(value)
    except Exception:  # noqa: BLE001 - of whatever a driver and a decoder can raise
        return UNREADABLE


def lenient(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """Return a column, under this name, that reads as `UNREADABLE` what its type cannot read."""
    if isinstance(column.type, JSON):
        return type_coerce(cast(column, Text), LenientJson()).label(name)
    return type_coerce(column, Lenient(column.type)).label(name)


Json = JSON().with_variant(JSONB(), "postgresql")
BigSerial = BigInteger().with_variant(Integer(), "sqlite")


def only(condition: str) -> dict[str, Any]:
    """Make an index partial, where there are such."""
    return {f"{dialect.name}_where": text(condition) for dialect in dialects.DIALECTS if dialect.has_partial_indexes}
