"""The application's login on MariaDB: rows and no DDL, an audit log that it can only append to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.servers.stack import development_settings, migrate

from payment_service.migrations.grants import GrantsRefused, apply_grants
from payment_service.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.mariadb import MariaDBServer

    from payment_service.config.settings import DatabaseSettings

OWNER, APPLICATION, PASSWORD = "payments_owner", "payments_app", "mariadb-role-password"
AUDITED = (
    "INSERT INTO audit_log (actor, action, object_type, object_id, details, created_at)"
    " VALUES ('cli:test', 'x.y', 'x', 'x', '{}', NOW())"
)


def settings_of(url: str) -> DatabaseSettings:
    return development_settings(database_url=url, stripe_url="http://127.0.0.1:1").database


@pytest.fixture(scope="module")
def urls(mariadb_server: MariaDBServer) -> tuple[str, str]:
    """The addresses of the owner and of the application, of a database that is migrated and granted."""
    name = mariadb_server.new_database().rpartition("/")[2]
    for login in (OWNER, APPLICATION):
        mariadb_server.execute(f"CREATE OR REPLACE USER {login}@'%' IDENTIFIED BY '{PASSWORD}'")
    mariadb_server.execute(f"GRANT ALL ON {name}.* TO {OWNER}@'%' WITH GRANT OPTION")
    owner, application = (mariadb_server.url(name, user=login, password=PASSWORD) for login in (OWNER, APPLICATION))
    migrate(owner)
    for _ in range(2):  # again, it changes nothing
        asyncio.run(apply_grants(settings_of(owner), role=APPLICATION, apply=True))
    return owner, application


@pytest.fixture
async def application(urls: tuple[str, str]) -> AsyncIterator[Database]:
    database = Database.from_settings(settings_of(urls[1]))
    yield database
    await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE INDEX mine ON products (active)",
        "ALTER TABLE customers ADD COLUMN mine int",
        "DROP TABLE customers",
        "TRUNCATE audit_log",
        "DROP TRIGGER audit_log_stamped",
        "UPDATE audit_log SET actor = 'x'",
        "UPDATE outbox SET cause = 'x'",
        "UPDATE personal_data SET customer_id = 'x'",
        "DELETE FROM schema_versions",
        "UPDATE alembic_version SET version_num = 'x'",
        "DELETE FROM api_keys",
        "GRANT SELECT ON customers TO payments_app@'%'",
        "SET SESSION sql_log_bin = 0",
    ],
)
async def test_the_application_is_refused(application: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match="denied"):
        async with application.transaction() as connection:
            await connection.execute(text(statement))


async def test_the_application_appends_to_the_audit_log_and_takes_nothing_out(application: Database) -> None:
    async with application.transaction() as connection:
        await connection.execute(text(AUDITED))
        written = (await connection.execute(text("SELECT DISTINCT actor FROM audit_log"))).scalars().all()
    assert written == [f"database:{APPLICATION}"]
    with pytest.raises(DBAPIError, match="append-only"):
        async with application.transaction() as connection:
            await connection.execute(text("DELETE FROM audit_log"))


async def test_who_is_not_there_or_owns_the_tables_is_granted_nothing(urls: tuple[str, str]) -> None:
    for role, said in (("payments_nobody", "CREATE USER"), (OWNER, "owns the tables")):
        with pytest.raises(GrantsRefused, match=said):
            await apply_grants(settings_of(urls[0]), role=role, apply=True)
