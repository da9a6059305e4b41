"""How MySQL and MariaDB get the tables as this version has them, whatever they hold already.

DDL commits by itself there, so nothing takes half a migration back. So each statement stands alone and can be repeated:
a run that was killed anywhere is finished by the next, for migrations are noted last and at once. An empty database
needs none of the steps that led here. One of an earlier version gets what it lacks, as `tables` describes it: tables,
columns, indexes, triggers. What a migration does beside that, to rows or to what is there, stands in its own `mysql`,
statements that can be repeated, too; `tests/unit/service/migrations/test_mysql_rule.py` asks for it.

Texts by which rows are found have a length there; others do not. A partial unique index is a generated column, which is
null where the index would hold nothing, in a unique index. Other partial indexes hold all rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Computed, Index, MetaData, Table, UniqueConstraint, insert, text
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from payment_service.migrations.mysql_triggers import triggers
from payment_service.migrations.schema import metadata
from payment_service.storage.column_types import UtcDateTime
from payment_service.storage.dialects.mysql_server import COLLATION
from payment_service.storage.tables import SLOT_STATUSES, schema_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
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
_HELD: Final = text("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
_HEAD: Final = text("INSERT INTO alembic_version VALUES (:revision)")
_DIALECT: Final = mysql.dialect()


def statements(held: Mapping[str, AbstractSet[str]], migrations: Sequence[Migration]) -> Iterator[str]:
    """Return what brings a database to the tables as they are now, each statement to be run alone. Pure.

    Args:
        held: the columns that it has, by table.
        migrations: those that it has not seen, oldest first.
    """
    tables = adapted(metadata).sorted_tables
    for table in tables:
        yield from _additions(table, held.get(table.name))
    yield "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY) ENGINE=InnoDB"
    if migrations[0].number > 1:  # else there is nothing yet that one could change
        for migration in migrations:
            yield from migration.mysql or ()
    for table in tables:
        for index in sorted(_indexes(table), key=lambda one: str(one.name)):
            yield _sql(CreateIndex(index, if_not_exists=True))
    yield from triggers()


async def carry_out(connection: AsyncConnection, migrations: Sequence[Migration], *, now: datetime) -> None:
    """Carry out migrations, and note all of them as run, last and at once."""
    held: dict[str, set[str]] = {}
    for table, column in await connection.execute(_HELD):
        held.setdefault(table, set()).add(column)
    for statement in statements(held, migrations):
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


def _additions(table: Table, held: AbstractSet[str] | None) -> Iterator[str]:
    if held is None:
        yield _sql(CreateTable(table, if_not_exists=True))
        return
    for column in table.columns:
        if column.name not in held:
            yield f"ALTER TABLE {table.name} ADD COLUMN IF NOT EXISTS {_sql(CreateColumn(column))}"


def _indexes(table: Table) -> Iterator[Index]:
    """Return the indexes of a table, and those of its unique constraints: it may be older than one of them."""
    yield from table.indexes
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield Index(str(constraint.name), *(table.c[column.name] for column in constraint.columns), unique=True)


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
