"""What the application's role, in whoever's hands, can say in the audit log on PostgreSQL, and what it cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.integration.test_migrations import upgrade
from tests.integration.test_postgresql_grants import ROLE, as_role, grant, owned_database, owner_url, server
from tests.servers.stack import development_settings, migrate_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.postgres import PostgresServer

__all__ = ["owner_url", "server"]  # fixtures
BACK_DATED = datetime(2020, 1, 1, tzinfo=UTC)
FORGED = (
    "INSERT INTO audit_log"
    " (seq, actor, action, object_type, object_id, details, created_at, database_role, on_behalf_of)"
    " VALUES (-5, 'database:postgres', 'a.b', 'a', '1', '{}', $1, 'postgres', 'cli:me') RETURNING *"
)
AS_BEFORE = (
    "INSERT INTO audit_log (actor, action, object_type, object_id, details, created_at)"
    " VALUES ($1, 'a.b', 'a', '1', '{}', now()) RETURNING *"
)
AS_NOW = AS_BEFORE.replace("(actor,", "(on_behalf_of,")
BOTH = pytest.mark.parametrize("insert", [AS_BEFORE, AS_NOW], ids=["as the version before", "as now"])
KEY = "SELECT api_key_create('cli:ada', $1, $2, 'lp_test_abcd', 'read', false, $3, $4, 'v', NULL, NULL, 'v')"


@pytest.fixture
async def application(owner_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A plain connection with the application's role."""
    connection = await asyncpg.connect(owner_url.replace("payments_owner@", f"{ROLE}@"))
    yield connection
    await connection.close()


async def make_key(application: asyncpg.Connection[Any], name: str, *, ends: datetime | None = None) -> None:
    await application.execute(KEY, f"lpk_{name}", "shop", ends, name.encode())


async def test_seq_time_role_and_actor_of_a_row_are_the_databases(application: asyncpg.Connection[Any]) -> None:
    (row,) = await application.fetch(FORGED, BACK_DATED)
    now = await application.fetchval("SELECT clock_timestamp()")
    assert abs(now - row["created_at"]) < timedelta(minutes=1)
    assert row["seq"] > 0
    assert (row["actor"], row["database_role"], row["on_behalf_of"]) == (f"database:{ROLE}", ROLE, "cli:me")


async def test_the_owner_cannot_forge_them_either(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    (row,) = await owner.fetch(FORGED, BACK_DATED)
    assert row["created_at"] > BACK_DATED + timedelta(days=365)
    assert (row["actor"], row["database_role"]) == ("database:payments_owner", "payments_owner")
    await owner.close()


@BOTH
@pytest.mark.parametrize(
    "stated",
    [
        *("api:ghost", "ended:ghost", "api:", "api:lpk_a", "API:shop", " api:shop", "api:shop "),
        *("cli:", "worker:", "stripe:evt_1", "migration:0099", "database:postgres", "ada", "", None),
    ],
)
async def test_nobody_who_is_not_known_can_be_written(
    application: asyncpg.Connection[Any], insert: str, stated: str | None
) -> None:
    await make_key(application, "a")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="nobody is known"):
        await application.execute(insert, stated)
    assert await application.fetchval("SELECT count(*) FROM audit_log WHERE action = 'a.b'") == 0


@BOTH
async def test_a_principal_is_written_as_calling_while_one_of_its_keys_is_usable(
    application: asyncpg.Connection[Any], insert: str
) -> None:
    now = datetime.now(tz=UTC)

    async def told() -> str:
        (row,) = await application.fetch(insert, "api:shop")
        assert row["actor"] == f"database:{ROLE}"
        return str(row["on_behalf_of"])

    await make_key(application, "expired", ends=now - timedelta(minutes=5))
    assert await told() == "ended:shop"
    await make_key(application, "a", ends=now + timedelta(days=1))
    await make_key(application, "b")
    assert await told() == "api:shop"
    await application.execute("SELECT api_key_revoke('cli:ada', 'lpk_a')")
    assert await told() == "api:shop"
    await application.execute("SELECT api_key_revoke('cli:ada', 'lpk_b')")
    assert await told() == "ended:shop"


@BOTH
@pytest.mark.parametrize(
    ("stated", "written"),
    [
        ("cli:ada", "cli:ada"),
        ("worker:erasure", "worker:erasure"),
        ("anonymous", "anonymous"),
        ("api:anonymous", "anonymous"),
    ],
)
async def test_what_the_database_cannot_know_stands_beside_the_actor(
    application: asyncpg.Connection[Any], insert: str, stated: str, written: str
) -> None:
    (row,) = await application.fetch(insert, stated)
    assert (row["actor"], row["on_behalf_of"]) == (f"database:{ROLE}", written)


async def test_only_the_owner_speaks_for_a_migration(owner_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    (row,) = await owner.fetch(AS_BEFORE, "migration:0099")
    assert (row["actor"], row["on_behalf_of"]) == ("database:payments_owner", "migration:0099")
    await owner.close()


@pytest.mark.parametrize("by", ["api:ghost", "api:other", "cli:ada", "worker:retention", None])
async def test_a_key_is_hashed_anew_for_its_holder_alone(application: asyncpg.Connection[Any], by: str | None) -> None:
    await make_key(application, "a")
    await application.execute(KEY, "lpk_other", "other", None, b"other")
    before = await application.fetch("SELECT * FROM api_keys ORDER BY id")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="does not hold"):
        await application.execute("SELECT api_key_rehash($1, 'lpk_a', 'a', 'mine', 'w')", by)
    assert await application.fetch("SELECT * FROM api_keys ORDER BY id") == before
    assert await application.fetchval("SELECT api_key_rehash('api:shop', 'lpk_a', 'a', 'mine', 'w')")
    (row,) = await application.fetch("SELECT * FROM audit_log ORDER BY seq DESC LIMIT 1")
    assert (row["action"], row["object_id"], row["on_behalf_of"]) == ("api_key.rehash", "lpk_a", "api:shop")


@pytest.mark.parametrize(
    "call",
    [
        "api_key_create('api:ghost', 'lpk_b', 'shop', 'lp_', 'admin', false, NULL, 'd', 'v', NULL, NULL, 'v')",
        "api_key_rotate('me', 'lpk_a', now(), 'lpk_b', 'lp_', 'd', 'v', NULL, NULL, 'v')",
        "api_key_revoke('', 'lpk_a')",
    ],
)
async def test_no_key_is_changed_for_somebody_who_is_not_known(application: asyncpg.Connection[Any], call: str) -> None:
    await make_key(application, "a")
    before = await application.fetch("SELECT * FROM api_keys")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="nobody is known"):
        await application.execute(f"SELECT {call}")
    assert await application.fetch("SELECT * FROM api_keys") == before


async def test_noting_a_use_changes_the_time_of_that_and_nothing_else(
    application: asyncpg.Connection[Any],
) -> None:
    await make_key(application, "a")
    await make_key(application, "b")
    before = [dict(row) for row in await application.fetch("SELECT * FROM api_keys ORDER BY id")]
    await application.execute("SELECT api_key_used('lpk_a')")
    used, other = [dict(row) for row in await application.fetch("SELECT * FROM api_keys ORDER BY id")]
    now = await application.fetchval("SELECT clock_timestamp()")
    assert abs(now - used["last_used_at"]) < timedelta(minutes=1)
    assert [used | {"last_used_at": None}, other] == before


async def test_every_function_that_writes_keys_audits_or_notes_a_use(application: asyncpg.Connection[Any]) -> None:
    """Whoever adds one that the role may call has to say here which of the two it does."""
    writing = await application.fetch(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND prosrc ~* '(insert\\s+into|update|delete\\s+from)\\s+(only\\s+)?(public\\.)?api_keys'"
    )
    audited = {row["proname"] for row in writing if "PERFORM api_key_audit(" in row["prosrc"]}
    assert audited == {"api_key_create", "api_key_rotate", "api_key_revoke", "api_key_rehash"}
    assert {row["proname"] for row in writing} - audited == {"api_key_used"}


async def test_rows_of_before_stay_as_they_are_and_the_version_before_goes_on_writing(
    server: PostgresServer,
) -> None:
    url = owned_database(server)
    owner = as_role(url, "payments_owner")
    settings = development_settings(database_url=owner, stripe_url="http://127.0.0.1:1")
    upgrade(settings, "0017_joined")
    await grant(owner)
    connection = await asyncpg.connect(as_role(url, ROLE))
    await make_key(connection, "a")
    await connection.execute(AS_BEFORE, "api:shop")
    before = [dict(row) for row in await connection.fetch("SELECT * FROM audit_log ORDER BY seq")]
    await migrate_async(settings)
    await connection.execute("SELECT api_key_rehash('api:shop', 'lpk_a', 'a', 'b', 'w')")
    await connection.execute(AS_BEFORE, "worker:retention")
    *old, first, second = [dict(row) for row in await connection.fetch("SELECT * FROM audit_log ORDER BY seq")]
    assert old == [row | {"on_behalf_of": None} for row in before]
    assert [old[-1]["actor"], first["actor"], second["actor"]] == ["api:shop", *[f"database:{ROLE}"] * 2]
    assert [first["on_behalf_of"], second["on_behalf_of"]] == ["api:shop", "worker:retention"]
    await connection.close()
