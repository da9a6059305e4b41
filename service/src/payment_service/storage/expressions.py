"""Conditions that each database words differently; how they are compiled stands in `dialects/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec
from sqlalchemy import ARRAY, Boolean, ColumnElement, Text, TypeDecorator, bindparam, literal_column
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.operators import OperatorType


class _JsonList(TypeDecorator[list[str]]):
    """A list of texts in one parameter, as JSON."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Write JSON."""
        return None if value is None else msgspec.json.encode(value).decode()


_TEXTS = _JsonList().with_variant(ARRAY(Text), "postgresql")


class Condition(FunctionElement[bool]):
    """A condition of a few parts."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 - SQLAlchemy's signature
        """Stand for itself: `… = 1`, which SQLAlchemy adds where there are no booleans, would keep indexes from use."""
        return self

    def compiled(self, compiler: SQLCompiler, **kw: Any) -> list[str]:
        """Return the parts in SQL."""
        return [compiler.process(part, **kw) for part in self.clauses]


class Among(Condition):
    """Compares with a list of texts; one statement for every length, so that it is prepared once."""

    inherit_cache = True
    name = "among"

    def __init__(self, column: ColumnElement[Any], parameter: str) -> None:
        super().__init__(column, bindparam(parameter, type_=_TEXTS))


class HasMember(Condition):
    """Tells whether one of the objects in a JSON list has this text as the value of that member."""

    inherit_cache = True
    name = "has_member"

    def __init__(self, column: ColumnElement[Any], member: str, value: ColumnElement[Any]) -> None:
        super().__init__(column, literal_column(f"'{member}'"), value)


class ShareMember(Condition):
    """Tells whether objects in two JSON lists have one value of that member in common."""

    inherit_cache = True
    name = "share_member"

    def __init__(self, one: ColumnElement[Any], other: ColumnElement[Any], member: str) -> None:
        super().__init__(one, other, literal_column(f"'{member}'"))


class TakesLock(Condition):
    """Takes a lock that a text names, until the transaction ends; tells whether nobody else has it.

    Always true where a transaction that writes has the whole database to itself.
    """

    inherit_cache = True
    name = "takes_lock"

    def __init__(self, name: ColumnElement[Any], *, seed: int) -> None:
        super().__init__(name, literal_column(str(seed)))
