"""`payments database grants`: what the application's role may do, and nothing more.

The owner's role makes and changes tables (`DATABASE_MIGRATION_URL`); the application's role reads and writes rows. It
can do no DDL, so that neither a fault nor an attacker in the API can drop or alter anything. It can only append to the
audit log, whose rows get their time and their actor from the database, and to the outbox; what is past its retention it
removes through the functions of migration 14, which leave what is younger than a bound of their own. What is kept of
people it adds and removes, and never rewrites. It writes API keys only through the functions of migration 7, each of
which leaves a row in the audit log. Default privileges cover the tables of future migrations; what narrows an older
grant, as migration 7 does, asks for the command again (a migration that runs in the cluster ends with it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from payment_service.migrations.mysql_grants import mysql_grants
from payment_service.migrations.runner import current_numbers, locked_connection
from payment_service.storage.dialects import dialect_of
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import api_keys, audit_log, outbox, schema_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.config.settings import DatabaseSettings

READ_ONLY: Final = (schema_versions.name, "alembic_version", api_keys.name)
APPEND_ONLY: Final = (audit_log.name, outbox.name)
NEVER_CHANGED: Final = (personal_data.name,)
FUNCTIONS: Final = (
    "api_key_create",
    "api_key_rotate",
    "api_key_revoke",
    "api_key_used",
    "api_key_rehash",
    "remove_old_audit_rows",
    "remove_old_outbox_rows",
)
"""They run as the owner (SECURITY DEFINER); nobody but the roles granted here may call them."""
_POWERS: Final = text(
    "SELECT rolsuper, rolcreatedb OR rolcreaterole, pg_has_role(:role, t.tableowner, 'MEMBER') "
    "FROM pg_roles LEFT JOIN pg_tables t ON t.tablename = 'subscriptions' AND t.schemaname = current_schema() "
    "WHERE rolname = :role LIMIT 1"
)

_WHO_AND_WHERE: Final = text("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()")


class GrantsRefused(Exception):
    """Nothing was granted; the message says why and what to do."""


def grants(*, role: str, database: str, schema: str) -> tuple[str, ...]:
    """Return the statements, for the owner to run; running them again changes nothing."""
    who, where = quote(role), quote(schema)
    narrowed = [
        f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {where}.{quote(table)} FROM {who}" for table in READ_ONLY
    ] + [f"REVOKE UPDATE, DELETE, TRUNCATE ON {where}.{quote(table)} FROM {who}" for table in APPEND_ONLY]
    narrowed += [f"REVOKE UPDATE, TRUNCATE ON {where}.{quote(table)} FROM {who}" for table in NEVER_CHANGED]
    return (
        f"REVOKE CREATE, TEMPORARY ON DATABASE {quote(database)} FROM PUBLIC, {who}",
        f"REVOKE CREATE ON SCHEMA {where} FROM PUBLIC, {who}",
        f"GRANT CONNECT ON DATABASE {quote(database)} TO {who}",
        f"GRANT USAGE ON SCHEMA {where} TO {who}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {where} TO {who}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {where} TO {who}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {where} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {who}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {where} GRANT USAGE, SELECT ON SEQUENCES TO {who}",
        *narrowed,
        *(f"REVOKE ALL ON FUNCTION {where}.{quote(name)} FROM PUBLIC" for name in FUNCTIONS),
        *(f"GRANT EXECUTE ON FUNCTION {where}.{quote(name)} TO {who}" for name in FUNCTIONS),
    )


def quote(name: str) -> str:
    """Quote an identifier (postgresql.org/docs/current/sql-syntax-lexical.html)."""
    return '"' + name.replace('"', '""') + '"'


def application_role(url: str) -> str:
    """Return the user of an address, or an empty string."""
    login = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
    return unquote(login.partition(":")[0])


async def apply_grants(settings: DatabaseSettings, *, role: str, apply: bool) -> tuple[str, ...]:
    """Return the statements for `role`; with `apply` run them in one transaction, as the owner.

    Raises:
        GrantsRefused: it is SQLite, there is no schema yet, or the role has powers that no grant takes away.
    """
    async with locked_connection(settings) as connection:
        if not dialect_of(connection).is_server:
            raise GrantsRefused("DATABASE_URL: SQLite has no roles; this is for PostgreSQL and MariaDB")
        if not dialect_of(connection).has_roles:
            return await _apply_table_by_table(connection, role=role, apply=apply)
        names = (await connection.execute(text("SELECT current_database(), current_schema()"))).one()
        statements = grants(role=role, database=names[0], schema=names[1])
        if apply:
            await _check_role(connection, role)
            for statement in statements:
                await connection.execute(text(statement))
            await connection.commit()
    return statements


async def _apply_table_by_table(connection: AsyncConnection, *, role: str, apply: bool) -> tuple[str, ...]:
    """Do it where a transaction takes no grant back; each can be repeated."""
    owner, database = (await connection.execute(_WHO_AND_WHERE)).one()
    if owner == role:
        raise GrantsRefused(f"{role} owns the tables; DATABASE_MIGRATION_URL is for the owner, this for another login")
    if (await current_numbers(connection))[0] == 0:
        raise GrantsRefused("there are no tables yet; run payments migrate first")
    statements = mysql_grants(role=role, database=database)
    try:
        for statement in statements if apply else ():
            await connection.execute(text(statement.replace(":", "\\:")))
    except DBAPIError as error:
        raise GrantsRefused(
            f"MariaDB says: {error.orig}. If there is no role {role}, and no login from any host ('%'), make it: "
            "CREATE USER or CREATE ROLE"
        ) from error
    return statements


async def _check_role(connection: AsyncConnection, role: str) -> None:
    powers = (await connection.execute(_POWERS, {"role": role})).first()
    if powers is None:
        raise GrantsRefused(f"there is no role {role}; make it: CREATE ROLE {quote(role)} LOGIN PASSWORD '…'")
    superuser, creates, owns = powers
    if superuser or creates:
        raise GrantsRefused(f"{role} is a superuser or may create roles or databases; use a plain role")
    if owns is None:
        raise GrantsRefused("there are no tables yet; run payments migrate first")
    if owns:
        raise GrantsRefused(
            f"{role} owns the tables or may SET ROLE to who does; DATABASE_MIGRATION_URL is for the owner, "
            "this for another role"
        )
