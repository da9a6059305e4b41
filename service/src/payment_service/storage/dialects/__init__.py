"""Where databases differ: one interface, and the implementations of PostgreSQL, SQLite and MariaDB beside each other.

A `Database` is made with one of them (`storage/database.py`); statements find it by their connection
(`storage/statements.py`, `storage/expressions.py`). Nothing outside of `storage` and `migrations` asks which one it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.storage.dialects.mysql import MySQL
from payment_service.storage.dialects.postgresql import PostgreSQL
from payment_service.storage.dialects.sqlite import SQLite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.storage.dialects.interface import Dialect

DIALECTS: Final[tuple[Dialect, ...]] = (PostgreSQL(), SQLite(), MySQL())
_BY_NAME: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in DIALECTS}
_BY_SCHEME: Final[Mapping[str, Dialect]] = {scheme: dialect for dialect in DIALECTS for scheme in dialect.schemes}


class UnsupportedDatabase(ValueError):
    """No database that the service knows has such addresses."""


def scheme_of(url: str) -> str:
    """Return what an address begins with, without a driver's suffix."""
    return url.partition("://")[0].partition("+")[0]


def of_url(url: str) -> Dialect:
    """Return the database of an address.

    Raises:
        UnsupportedDatabase: there is none.
    """
    scheme = scheme_of(url)
    if scheme not in _BY_SCHEME:
        raise UnsupportedDatabase(f"the scheme {scheme!r} is not supported; use postgresql:// or mariadb://")
    return _BY_SCHEME[scheme]


def named(name: str) -> Dialect:
    """Return the database that SQLAlchemy calls so."""
    return _BY_NAME[name]


def dialect_of(connection: AsyncConnection) -> Dialect:
    """Return the database at the other end."""
    return _BY_NAME[connection.dialect.name]
