"""Column types and conditions that mean the same on PostgreSQL and SQLite."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    TypeDecorator,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sqlalchemy import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which has no time zones, stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


Json = JSON().with_variant(JSONB(), "postgresql")
BigSerial = BigInteger().with_variant(Integer(), "sqlite")


class HasMember(FunctionElement[bool]):
    """Tells whether one of the objects in a JSON list has this text as the value of that member."""

    type = Boolean()
    inherit_cache = True
    name = "has_member"

    def __init__(self, column: ColumnElement[Any], member: str, value: ColumnElement[Any]) -> None:
        super().__init__(column, literal_column(f"'{member}'"), value)


@compiles(HasMember, "postgresql")
def _on_postgresql(element: HasMember, compiler: SQLCompiler, **kw: Any) -> str:
    column, member, value = (compiler.process(part, **kw) for part in element.clauses)
    return f"({column} @> jsonb_build_array(jsonb_build_object({member}, CAST({value} AS TEXT))))"


@compiles(HasMember, "sqlite")
def _on_sqlite(element: HasMember, compiler: SQLCompiler, **kw: Any) -> str:
    column, member, value = (compiler.process(part, **kw) for part in element.clauses)
    found = f"json_extract(part.value, '$.' || {member}) = {value}"
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS part WHERE {found})"  # noqa: S608 - of compiled expressions


class ShareMember(FunctionElement[bool]):
    """Tells whether objects in two JSON lists have one value of that member in common."""

    type = Boolean()
    inherit_cache = True
    name = "share_member"

    def __init__(self, one: ColumnElement[Any], other: ColumnElement[Any], member: str) -> None:
        super().__init__(one, other, literal_column(f"'{member}'"))


@compiles(ShareMember, "postgresql")
def _share_on_postgresql(element: ShareMember, compiler: SQLCompiler, **kw: Any) -> str:
    one, other, member = (compiler.process(part, **kw) for part in element.clauses)
    wanted = f"jsonb_build_array(jsonb_build_object({member}, part -> {member}))"
    return f"EXISTS (SELECT FROM jsonb_array_elements({one}) AS part WHERE {other} @> {wanted})"


@compiles(ShareMember, "sqlite")
def _share_on_sqlite(element: ShareMember, compiler: SQLCompiler, **kw: Any) -> str:
    one, other, member = (compiler.process(part, **kw) for part in element.clauses)
    same = f"json_extract(a.value, '$.' || {member}) = json_extract(b.value, '$.' || {member})"
    return f"EXISTS (SELECT 1 FROM json_each({one}) AS a, json_each({other}) AS b WHERE {same})"  # noqa: S608 - as above


def among(column: ColumnElement[Any], name: str, *, dialect: str) -> ColumnElement[bool]:
    """Compare with a list (see `array`); one statement for every length, so that PostgreSQL prepares it once."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(Text)))
    return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))


def array(values: Iterable[str], *, dialect: str) -> Any:
    """Return the values as the parameter of `among`."""
    return list(values) if dialect == "postgresql" else msgspec.json.encode(list(values)).decode()
