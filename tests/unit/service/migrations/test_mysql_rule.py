"""How later migrations reach MySQL and MariaDB: what is added comes from `tables`, all else each says itself."""

from __future__ import annotations

import re
from typing import Final

from payment_service.migrations.history import history
from payment_service.migrations.runner import offline_sql

FIRST: Final = 19
"""These databases begin with what was there then."""
_ADDS: Final = re.compile(
    r"CREATE TABLE |CREATE (?:UNIQUE )?INDEX |ALTER TABLE \w+ ADD COLUMN |COMMENT ON |BEGIN|COMMIT"
    r"|(?:INSERT INTO|UPDATE|DELETE FROM) (?:alembic_version|schema_versions) ",
    re.IGNORECASE,
)


def beyond_additions(sql: str) -> list[str]:
    """Return the statements that do more than add tables, columns and indexes."""
    bare = re.sub(r"--[^\n]*", "", sql)
    statements = filter(None, map(str.strip, re.split(r";\s*(?:\n|$)", bare)))
    return [" ".join(statement.split()) for statement in statements if not _ADDS.match(statement)]


def test_a_migration_that_does_more_than_add_says_what_it_does_there() -> None:
    silent = {
        migration.summary: beyond
        for migration in history()
        if migration.number > FIRST
        and migration.mysql is None
        and (beyond := beyond_additions(offline_sql((migration,))))
    }
    assert silent == {}, "say `mysql = (…)` in the migration: statements for MariaDB that can be repeated; () if none"


def test_what_is_more_than_an_addition_is_found() -> None:
    added = "CREATE TABLE a (id text);\n\nALTER TABLE b ADD COLUMN c text;\n\nUPDATE alembic_version SET x='20';\n\n"
    assert beyond_additions(added) == []
    more = ["DROP TABLE a", "UPDATE b SET c = 1", "ALTER TABLE b DROP COLUMN c", "CREATE FUNCTION f() RETURNS void"]
    assert beyond_additions(added + ";\n\n".join(more)) == more
