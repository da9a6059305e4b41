"""API keys and the audit log as the application's role meets them on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.integration.test_postgresql_grants import ROLE, as_role, make_role, owned_database, owner_url, server
from tests.servers.stack import development_settings, migrate_async

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.clock import Clock, MovableClock
from payment_service.config.secrets import Secret
from payment_service.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import PostgresServer

__all__ = ["owner_url", "server"]  # fixtures
A, B = "a1b2c3d4" * 5, "e5f6a7b8" * 5


@pytest.fixture
async def application(owner_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A plain connection with the application's role."""
    connection = await asyncpg.connect(as_role(owner_url.replace("payments_owner@", "postgres@"), ROLE))
    yield connection
    await connection.close()


@pytest.fixture
async def database(owner_url: str) -> AsyncIterator[Database]:
    """The service's database with the application's role."""
    url = owner_url.replace("payments_owner@", f"{ROLE}@")
    made = Database.from_settings(
        development_settings(database_url=url, stripe_url="http://127.0.0.1:1").database, application_name="test"
    )
    yield made
    await made.close()


def settings_with(*values: str) -> Any:
    settings = development_settings(database_url="postgresql://x@h/d", stripe_url="http://127.0.0.1:1")
    return replace(settings, environment="production", secret_key=Secret(",".join(values)))


async def test_every_change_of_a_key_works_as_the_application_and_is_audited(
    database: Database, application: asyncpg.Connection[Any]
) -> None:
    keys = ApiKeys(settings_with(A), database, clock=Clock())
    key, made = await keys.create("shop", scope="read", days=30, actor="cli:ada")
    access = Access(settings_with(B, A), database, clock=Clock())
    assert (await access.identify(f"Bearer {key}", scope="read")).principal == "shop"
    _, rotated = await keys.rotate(made.id, overlap_hours=1, actor="cli:grace")
    await keys.revoke(rotated.id, actor="cli:ada")
    rows = await application.fetch("SELECT * FROM audit_log ORDER BY seq")
    assert [(row["on_behalf_of"], row["action"], row["object_id"]) for row in rows] == [
        ("cli:ada", "api_key.create", made.id),
        ("api:shop", "api_key.rehash", made.id),
        ("cli:grace", "api_key.rotate", rotated.id),
        ("cli:ada", "api_key.revoke", rotated.id),
    ]
    assert {row["database_role"] for row in rows} == {ROLE}
    old, new = await application.fetch("SELECT * FROM api_keys ORDER BY id")
    assert old["last_used_at"] is not None
    assert old["expires_at"] - old["created_at"] < timedelta(hours=2)
    assert new["expires_at"] == made.expires_at
    assert new["revoked_at"] is not None
    assert (new["principal"], new["scope"], new["livemode"]) == ("shop", "read", False)


async def test_the_times_of_a_key_are_the_databases(database: Database, application: asyncpg.Connection[Any]) -> None:
    clock = MovableClock()
    clock.advance(-400 * 86400)
    keys = ApiKeys(settings_with(A), database, clock=clock)
    _, made = await keys.create("shop", scope="read", days=None, actor="cli:ada")
    await keys.revoke(made.id, actor="cli:ada")
    (row,) = await application.fetch("SELECT *, clock_timestamp() AS now FROM api_keys")
    assert row["now"] - row["created_at"] < timedelta(minutes=5)
    assert row["now"] - row["revoked_at"] < timedelta(minutes=5)


async def test_a_change_whose_audit_row_cannot_be_written_does_not_happen(
    database: Database, owner_url: str, application: asyncpg.Connection[Any]
) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("ALTER TABLE audit_log ADD CONSTRAINT full_up CHECK (on_behalf_of <> 'cli:ada')")
    await owner.close()
    with pytest.raises(Exception, match="full_up"):
        await ApiKeys(settings_with(A), database, clock=Clock()).create("x", scope="read", days=None, actor="cli:ada")
    assert await application.fetchval("SELECT count(*) FROM api_keys") == 0


@pytest.mark.parametrize(
    "call", ["api_key_used('lpk_1')", "api_key_revoke('cli:me', 'lpk_1')", "api_key_rehash('a','b','c','d','e')"]
)
async def test_another_role_may_call_none_of_the_functions(server: PostgresServer, owner_url: str, call: str) -> None:
    make_role(server, "stranger")
    stranger = await asyncpg.connect(owner_url.replace("payments_owner@", "stranger@"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.execute(f"SELECT {call}")
    await stranger.close()


async def test_no_function_trusts_its_callers_search_path(
    server: PostgresServer, owner_url: str, application: asyncpg.Connection[Any]
) -> None:
    rows = await application.fetch(
        "SELECT proname, proconfig FROM pg_proc WHERE proname LIKE 'api_key_%'"
        " OR proname IN ('stamp_audit_row', 'audit_on_behalf_of')"
    )
    assert len(rows) == 8
    assert {tuple(row["proconfig"]) for row in rows} == {("search_path=pg_catalog, public, pg_temp",)}
    name = owner_url.rpartition("/")[2]
    server.execute("CREATE SCHEMA trap", database=name)
    server.execute(f"GRANT USAGE ON SCHEMA trap TO {ROLE}", database=name)
    server.execute("CREATE TABLE trap.audit_log (LIKE public.audit_log)", database=name)
    server.execute(f"GRANT ALL ON trap.audit_log TO {ROLE}", database=name)
    await application.execute("SET search_path = trap, public")
    await application.execute(
        "SELECT api_key_create('cli:me', 'lpk_1', 'me', 'lp_test_abcd', 'read', false, NULL, 'd', 'v', NULL, NULL, 'v')"
    )
    assert await application.fetchval("SELECT count(*) FROM trap.audit_log") == 0
    assert await application.fetchval("SELECT count(*) FROM public.audit_log") == 1


@pytest.mark.parametrize("scope", ["root", "Admin", ""])
async def test_no_function_makes_a_key_with_a_scope_that_is_none(
    application: asyncpg.Connection[Any], scope: str
) -> None:
    create = "SELECT api_key_create('cli:me', 'lpk_1', 'me', 'lp_', $1, false, NULL, 'd', 'v', NULL, NULL, 'v')"
    with pytest.raises(asyncpg.CheckViolationError, match="ck_api_keys_scope"):
        await application.execute(create, scope)
    assert await application.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_a_role_with_grants_of_before_may_call_the_functions_after_the_migration(
    server: PostgresServer,
) -> None:
    url = owned_database(server)
    name = url.rpartition("/")[2]
    server.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE payments_owner GRANT SELECT, INSERT, UPDATE ON TABLES TO {ROLE}",
        database=name,
    )
    owner = as_role(url, "payments_owner")
    await migrate_async(development_settings(database_url=owner, stripe_url="http://127.0.0.1:1"))
    made = await asyncpg.connect(as_role(url, ROLE))
    await made.execute("SELECT api_key_used('lpk_1')")
    await made.close()
