"""What the application's login may do on MariaDB: table by table, for no grant there can be narrowed afterwards.

So a table of a later migration is the application's only after `payments database grants --apply`, with which every
migration in the cluster ends. Two things are weaker than on PostgreSQL, where functions of the owner's do them: the
application writes API keys itself, and removes what is past its retention itself. From the audit log a trigger lets it
remove nothing younger than 90 days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.migrations.schema import metadata
from payment_service.storage.personal_tables import personal_data
from payment_service.storage.tables import api_keys, audit_log, outbox, schema_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS: Final = "SELECT, INSERT, UPDATE, DELETE"
NARROWER: Final[Mapping[str, str]] = {
    schema_versions.name: "SELECT",
    "alembic_version": "SELECT",
    api_keys.name: "SELECT, INSERT, UPDATE",
    audit_log.name: "SELECT, INSERT, DELETE",
    outbox.name: "SELECT, INSERT, DELETE",
    personal_data.name: "SELECT, INSERT, DELETE",
}


def mysql_grants(*, role: str, database: str) -> tuple[str, ...]:
    """Return the statements, for the owner to run; running them again changes nothing. Pure.

    Args:
        role: the name of a role or, where there is none such, of a login from every host.
        database: that holds the tables.
    """
    who, where = _text(role), _quote(database)
    tables = sorted({*metadata.tables, "alembic_version"})
    return (
        f"GRANT SHOW VIEW ON {where}.* TO {who}",  # so that there is something to revoke
        f"REVOKE ALL PRIVILEGES ON {where}.* FROM {who}",
        *(f"GRANT {NARROWER.get(table, ROWS)} ON {where}.{_quote(table)} TO {who}" for table in tables),
    )


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
