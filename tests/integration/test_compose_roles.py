"""What compose.yaml makes of a new PostgreSQL gives the service a role with rows and no more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import yaml
from tests.integration.test_postgresql_grants import as_role, grant
from tests.servers.stack import development_settings, migrate_async

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())


def statements(database: str) -> list[str]:
    """The SQL of the script that the image runs once, for a database of another name."""
    script: str = COMPOSE["configs"]["postgres-roles"]["content"]
    sql = script.partition("<<'SQL'\n")[2].partition("\nSQL")[0]
    filled = (
        sql.replace(":'owner'", "'o'").replace(":'app'", "'a'").replace("DATABASE payments ", f"DATABASE {database} ")
    )
    return [statement.strip() for statement in filled.split(";") if statement.strip()]


async def test_the_owner_migrates_and_grants_and_the_application_has_rows_only(postgres_server: PostgresServer) -> None:
    url = postgres_server.new_database()
    name = url.rpartition("/")[2]
    for statement in statements(name):
        role = statement.split()[2] if statement.startswith("CREATE ROLE") else ""
        if not role or not postgres_server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            postgres_server.execute(statement, database=name)
    owner = as_role(url, "payments_owner")
    await migrate_async(development_settings(database_url=owner, stripe_url="http://127.0.0.1:1"))
    await grant(owner)
    application = await asyncpg.connect(as_role(url, "payments_app"))
    await application.execute("SELECT count(*) FROM subscriptions")
    for refused in ("CREATE TABLE mine (id int)", "DROP TABLE customers", "DELETE FROM api_keys"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(refused)
    await application.close()
