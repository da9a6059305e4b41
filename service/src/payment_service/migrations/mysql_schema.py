"""What an empty MySQL or MariaDB begins with: the tables as they are now, and what these databases need beside them.

DDL commits by itself there, so nothing takes half a migration back. So each statement stands alone and can be repeated:
a run that was killed anywhere is finished by the next. A database that never had an earlier version needs none of the
steps that led here; it is made as `tables` describes it, and later migrations change it.

Texts by which rows are found have a length there; others do not. A partial unique index is a generated column, which is
null where the index would hold nothing, in a unique index. Other partial indexes hold all rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Computed, Index, MetaData, Table, UniqueConstraint, insert, text
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable

from payment_service.migrations.mysql_triggers import triggers
from payment_service.migrations.schema import metadata
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.dialects.mysql_connector import COLLATION
from payment_service.storage.tables import SLOT_STATUSES, schema_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.types import TypeEngine

    from payment_service.migrations.history import Migration

ID_CHARACTERS: Final = 255
LENGTHS: Final = {"email": 512, "address_key": 512, "email_key": 512, "method": 16, "principal": 128}
"""Of columns in an index, whose keys may have 3 072 bytes: 768 characters of four."""
DIGEST_BYTES: Final = 64
SLOT: Final = "uq_subscriptions_slot"
_HOLDS: Final = ", ".join(f"'{status}'" for status in SLOT_STATUSES)
_HEAD: Final = text("INSERT INTO alembic_version VALUES (:revision)")
_DIALECT: Final = mysql.dialect()


def statements() -> Iterator[str]:
    """Return what makes the tables and their indexes, each to be run alone. Pure."""
    for table in adapted(metadata).sorted_tables:
        yield _sql(CreateTable(table, if_not_exists=True))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            yield _sql(CreateIndex(index, if_not_exists=True))
    yield "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY) ENGINE=InnoDB"
    yield from triggers()


async def make(connection: AsyncConnection, migrations: Sequence[Migration], *, now: datetime) -> None:
    """Make the schema of an empty database, and note all migrations as run, last and at once."""
    for statement in statements():
        await connection.exec_driver_sql(statement.replace("%", "%%"))
    await connection.exec_driver_sql("DELETE FROM alembic_version")
    await connection.execute(_HEAD, {"revision": migrations[-1].revision})
    rows = [
        {
            "number": migration.number,
            "revision": migration.revision,
            "phase": migration.phase,
            "oldest_application": migration.oldest_application,
            "applied_at": now,
        }
        for migration in migrations
    ]
    await connection.execute(insert(schema_versions), rows)
    await connection.commit()


def adapted(source: MetaData) -> MetaData:
    """Return the tables with these databases' types."""
    # a primary key has no name there, and one that is given is warned of
    names: dict[str, Any] = dict(source.naming_convention)
    target = MetaData(naming_convention={kind: name for kind, name in names.items() if kind != "pk"})
    for table in source.sorted_tables:
        _adapt(table, target)
    return target


def _adapt(table: Table, target: MetaData) -> None:
    keyed = _keyed(table)
    columns = [
        Column(
            column.name,
            _type(column, keyed=column.name in keyed),
            primary_key=column.primary_key,
            nullable=column.nullable,
            autoincrement=column.autoincrement,
            server_default=column.server_default,
            comment=column.comment,
        )
        for column in table.c
    ]
    unique = [
        UniqueConstraint(*(column.name for column in constraint.columns), name=constraint.name)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    ]
    made = Table(
        table.name,
        target,
        *columns,
        *unique,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate=COLLATION,
    )
    for index in table.indexes:
        _adapt_index(index, made)


def _adapt_index(index: Index, made: Table) -> None:
    names = [column.name for column in index.columns]
    if index.name == SLOT:
        # null where the partial index holds nothing
        holds = Computed(f"CASE WHEN exclusive AND status IN ({_HOLDS}) THEN 1 END", persisted=False)
        made.append_column(Column("holds_slot", mysql.TINYINT(), holds))
        names.append("holds_slot")
    if names and all(isinstance(expression, Column) for expression in index.expressions):
        Index(index.name, *(made.c[name] for name in names), unique=index.unique)


def _keyed(table: Table) -> set[str]:
    """Return the columns of a table by which rows are found."""
    indexed = {column.name for index in table.indexes for column in index.columns}
    unique = {
        column.name
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
        for column in constraint.columns
    }
    return indexed | unique | {column.name for column in table.primary_key}


def _type(column: Column[Any], *, keyed: bool) -> TypeEngine[Any]:
    """Return the type of a column."""
    if isinstance(column.type, UtcDateTime):
        return mysql.DATETIME(fsp=6)
    match column.type.__visit_name__:
        case "text" if keyed:
            return mysql.VARCHAR(LENGTHS.get(column.name, ID_CHARACTERS))
        case "text":
            return mysql.LONGTEXT()
        case "large_binary":
            return mysql.VARBINARY(DIGEST_BYTES) if keyed else mysql.LONGBLOB()
    return column.type


def _sql(element: Any) -> str:
    return str(element.compile(dialect=_DIALECT)).strip()
