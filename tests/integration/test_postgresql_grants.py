"""The application's role: rows and no DDL."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

import asyncpg
import pytest
from tests.servers.stack import CREATE, development_settings, migrate, running_stack

from payment_service.migrations.grants import GrantsRefused, application_role, apply_grants, quote

if TYPE_CHECKING:
    from tests.servers.postgres import PostgresServer

ROLE = "payments_app"
NO_STRIPE = "http://127.0.0.1:1"
INSERT_KEY = (
    "INSERT INTO api_keys (id, principal, prefix, digest, scope, livemode, created_at)"
    " VALUES ('lpk_1', 'me', 'lp_test_abcd', '\\x00', 'admin', false, now())"
)


def make_role(server: PostgresServer, name: str, options: str = "LOGIN") -> None:
    if not server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
        server.execute(f"CREATE ROLE {quote(name)} {options}")


def as_role(url: str, role: str) -> str:
    return url.replace("postgres@", f"{role}@")


@pytest.fixture(params=["postgres_server", "postgres15_server"])
def server(request: pytest.FixtureRequest) -> PostgresServer:
    found: PostgresServer = request.getfixturevalue(request.param)
    return found


def owned_database(server: PostgresServer, *, template: str = "template0") -> str:
    """Return the address of a database whose owner is no superuser, empty, beside the application's role."""
    make_role(server, ROLE)
    make_role(server, "payments_owner")
    url = server.new_database(template=template)
    name = url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} OWNER TO payments_owner")
    server.execute("ALTER SCHEMA public OWNER TO payments_owner", database=name)
    return url


@pytest.fixture
def owner_url(server: PostgresServer) -> str:
    """A migrated database whose owner is no superuser."""
    owner = as_role(owned_database(server, template=_owned_template(server)), "payments_owner")
    asyncio.run(grant(owner))
    return owner


@cache
def _owned_template(server: PostgresServer) -> str:
    """Return the name of a database that its owner has migrated."""
    url = owned_database(server)
    migrate(as_role(url, "payments_owner"))
    return url.rpartition("/")[2]


async def grant(owner_url: str, *, role: str = ROLE) -> tuple[str, ...]:
    settings = development_settings(database_url=owner_url, stripe_url=NO_STRIPE).database
    return await apply_grants(settings, role=role, apply=True)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE INDEX mine ON customers (name)",
        "ALTER TABLE customers ADD COLUMN mine int",
        "DROP TABLE customers",
        "TRUNCATE customers",
        "UPDATE audit_log SET actor = 'x'",
        "DELETE FROM audit_log",
        "UPDATE personal_data SET customer_id = 'x'",
        "TRUNCATE personal_data",
        "DELETE FROM schema_versions",
        "UPDATE alembic_version SET version_num = 'x'",
        INSERT_KEY,
        "UPDATE api_keys SET scope = 'admin'",
        "UPDATE api_keys SET expires_at = NULL",
        "UPDATE api_keys SET last_used_at = now()",
        "DELETE FROM api_keys",
        "TRUNCATE api_keys",
        "SELECT 1 FROM api_keys FOR UPDATE",
        "SELECT api_key_audit('cli:me', 'create', NULL, '{}')",
        "DROP FUNCTION api_key_used",
        "ALTER FUNCTION api_key_used SECURITY INVOKER",
        "ALTER TABLE audit_log DISABLE TRIGGER audit_log_stamped",
        "SET session_replication_role = replica",
    ],
)
async def test_the_application_role_is_refused(owner_url: str, statement: str) -> None:
    connection = await asyncpg.connect(owner_url.replace("payments_owner@", f"{ROLE}@"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_the_service_runs_as_the_application_role(owner_url: str) -> None:
    url = owner_url.replace("payments_owner@", f"{ROLE}@")
    async with running_stack(url, DATABASE_MIGRATION_URL=owner_url) as stack:
        created = await stack.client.post(
            CREATE, json={"price_id": "price_pro", "email": "a@example.com", "payment_method_id": "pm_card_visa"}
        )
        assert created.status_code == 201
        path = f"/api/v1/subscriptions/{created.json()['id']}"
        assert (await stack.client.get(path)).json()["status"] == "active"
        assert (await stack.client.get("/health/ready")).status_code == 200


async def test_a_table_of_a_later_migration_is_granted_too(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("CREATE TABLE later (id int)")
    await owner.close()
    application = await asyncpg.connect(owner_url.replace("payments_owner@", f"{ROLE}@"))
    await application.execute("INSERT INTO later VALUES (1)")
    await application.close()


async def test_applying_twice_changes_nothing(owner_url: str) -> None:
    assert await grant(owner_url) == await grant(owner_url)


async def test_a_role_that_does_not_exist_is_refused_with_the_fix(owner_url: str) -> None:
    with pytest.raises(GrantsRefused, match="CREATE ROLE"):
        await grant(owner_url, role="nobody_there")


@pytest.mark.parametrize(("role", "reason"), [("payments_owner", "owns the tables"), ("postgres", "superuser")])
async def test_a_role_with_other_powers_is_refused(owner_url: str, role: str, reason: str) -> None:
    with pytest.raises(GrantsRefused, match=reason):
        await grant(owner_url, role=role)


async def test_a_role_that_may_become_the_owner_is_refused(owner_url: str, server: PostgresServer) -> None:
    make_role(server, "payments_guest", "LOGIN NOINHERIT")
    server.execute("GRANT payments_owner TO payments_guest")
    with pytest.raises(GrantsRefused, match="SET ROLE"):
        await grant(owner_url, role="payments_guest")


@pytest.mark.parametrize(
    ("url", "role"),
    [
        ("postgresql://payments:secret@db:5432/payments", "payments"),
        ("postgresql://pay%20ments@h1,h2/payments", "pay ments"),
        ("postgresql:///payments", ""),
    ],
)
def test_the_role_is_the_user_of_the_address(url: str, role: str) -> None:
    assert application_role(url) == role
