"""The operator's work on PostgreSQL's roles, by an administrator that is no superuser, on 15 and 18."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from tests.requirements import require
from tests.servers.postgres import DEBIAN_15, FAST, PostgresServer, wheel_programs
from tests.unit.operator.world import World

from payment_operator.backoff import Backoff
from payment_operator.clients import postgresql
from payment_operator.clients.postgresql import lock_role, prepare_role
from payment_operator.effects.database_roles import work_on_role
from payment_operator.errors import DatabaseFault
from payment_operator.model.actions import LockRole, Part, Patch, PrepareRole

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = Path(__file__).parents[2] / "docs" / "rotation.md"
DONE = Patch("Secret", "shop-database-roles", ())
APP, ADMIN = "app-word", "admin-word"


@dataclass
class Database:
    """A database whose application logs in with a password; roles belong to the whole server, so names differ."""

    server: PostgresServer
    name: str
    number: int

    @property
    def modern(self) -> bool:
        return self.server.programs != DEBIAN_15

    @property
    def app(self) -> str:
        return f"payments_{self.number}"

    @property
    def admin(self) -> str:
        return f"payments_admin_{self.number}"

    def alternating(self, letter: str) -> str:
        return f"shop_{letter}_{self.number}"

    def login(self, role: str, password: str) -> str:
        return f"postgresql+asyncpg://{role}:{password}@127.0.0.1:{self.server.port}/{self.name}"

    @property
    def admin_url(self) -> str:
        return self.login(self.admin, ADMIN)

    def run(self, *statements: str) -> None:
        """As the superuser."""
        for statement in statements:
            self.server.execute(statement, database=self.name)

    async def prepare(self, letter: str, password: str) -> None:
        url = self.login(self.alternating(letter), password)
        await prepare_role(admin_url=self.admin_url, url=url, group=self.app)

    async def lock(self, role: str) -> bool:
        return await lock_role(admin_url=self.admin_url, role=role)

    async def connect(self, role: str, password: str) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(self.login(role, password).replace("+asyncpg", ""))

    async def refuses(self, role: str, password: str) -> bool:
        """Whether this login fails."""
        try:
            connection = await self.connect(role, password)
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
            return True
        await connection.close()
        return False


def documented(database: Database) -> list[str]:
    """The statements in docs/rotation.md that make the administrator, for this database's roles."""
    block, _mariadbs = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    named = re.sub(r"\bpayments_admin\b", database.admin, block).replace("'a long one'", f"'{ADMIN}'")
    named = re.sub(r"\bpayments\b", database.app, named)
    return [statement for line in named.split(";") if (statement := line.strip())]


@pytest.fixture(scope="module", params=["15", "18"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server that asks for passwords and writes every statement into its log."""
    if request.param == "15":
        require((DEBIAN_15 / "postgres").exists(), what="PostgreSQL 15", command="apt-get install postgresql-15")
    programs = DEBIAN_15 if request.param == "15" else wheel_programs()
    found = PostgresServer(programs, settings=FAST | {"log_statement": "all"})
    found.create()
    rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    (found.folder / "data" / "pg_hba.conf").write_text(rules)
    found.start()
    yield found
    found.remove()


@pytest.fixture
def bare(server: PostgresServer) -> Database:
    """A database with the application's role, without an administrator."""
    name = server.new_database().rpartition("/")[2]
    made = Database(server, name, int(name.rpartition("_")[2]))
    made.run(
        f"CREATE ROLE {made.app} LOGIN PASSWORD '{APP}'",
        "CREATE TABLE customers (name text)",
        f"GRANT SELECT ON customers TO {made.app}",
    )
    return made


@pytest.fixture
def database(bare: Database) -> Database:
    """With the administrator that docs/rotation.md describes."""
    bare.run(*documented(bare))
    return bare


async def test_a_role_is_made_that_logs_in_with_its_password_and_has_the_application_s_rights(
    database: Database,
) -> None:
    await database.prepare("a", "first-word")
    connection = await database.connect(database.alternating("a"), "first-word")
    assert await connection.fetch("SELECT * FROM customers") == []
    await connection.close()
    assert await database.refuses(database.alternating("a"), "other-word")


async def test_rotations_alternate_and_every_former_role_ends_locked(database: Database) -> None:
    former, password = database.app, APP
    for number, letter in enumerate("abab"):
        await database.prepare(letter, f"word-{number}")
        assert not await database.refuses(former, password)
        assert await database.lock(former)
        assert await database.refuses(former, password)
        assert not await database.refuses(database.alternating(letter), f"word-{number}")
        former, password = database.alternating(letter), f"word-{number}"


async def test_everything_can_be_done_again(database: Database) -> None:
    for _ in range(2):
        await database.prepare("a", "first-word")
    for _ in range(2):
        assert await database.lock(database.app)
    await database.prepare("a", "second-word")
    assert await database.refuses(database.alternating("a"), "first-word")
    assert not await database.refuses(database.alternating("a"), "second-word")


async def test_the_sessions_of_a_locked_role_end(database: Database) -> None:
    await database.prepare("a", "first-word")
    session = await database.connect(database.alternating("a"), "first-word")
    other = await database.connect(database.app, APP)
    ended = asyncio.Event()
    session.add_termination_listener(lambda _: ended.set())
    assert await database.lock(database.alternating("a"))
    async with asyncio.timeout(10):
        await ended.wait()
    assert await other.fetchval("SELECT 1") == 1
    await other.close()


async def test_the_server_s_log_holds_no_password(database: Database) -> None:
    password = f"never-in-a-log-{database.number}"
    await database.prepare("a", password)
    log = (database.server.folder / "log").read_text()
    assert f'"{database.alternating("a")}" LOGIN INHERIT PASSWORD' in log
    assert password not in log


async def test_a_role_that_is_a_member_without_its_rights_gets_them(database: Database) -> None:
    await database.prepare("a", "first-word")
    role = database.alternating("a")
    if database.modern:
        database.run(f"REVOKE {database.app} FROM {role} GRANTED BY {database.admin}")
        database.run(f"GRANT {database.app} TO {role} WITH INHERIT FALSE")
    else:
        database.run(f"ALTER ROLE {role} NOINHERIT")
    await database.prepare("a", "second-word")
    connection = await database.connect(role, "second-word")
    assert await connection.fetch("SELECT * FROM customers") == []
    await connection.close()


async def test_roles_that_somebody_else_made_need_the_documented_grant_from_16_on(database: Database) -> None:
    role = database.alternating("a")
    database.run(f"CREATE ROLE {role}")
    if database.modern:
        with pytest.raises(DatabaseFault, match="ADMIN OPTION"):
            await database.prepare("a", "first-word")
        database.run(f"GRANT {role} TO {database.admin} WITH ADMIN OPTION")
    await database.prepare("a", "first-word")
    assert not await database.refuses(role, "first-word")


async def test_without_the_admin_option_on_the_application_s_role_16_refuses_and_the_fix_is_told(
    bare: Database,
) -> None:
    bare.run(*(statement for statement in documented(bare) if "ADMIN OPTION" not in statement))
    if not bare.modern:
        await bare.prepare("a", "first-word")
        assert await bare.lock(bare.app)
        return
    with pytest.raises(DatabaseFault, match="ADMIN OPTION"):
        await bare.prepare("a", "first-word")
    with pytest.raises(DatabaseFault, match="ADMIN OPTION"):
        await bare.lock(bare.app)
    assert not await bare.refuses(bare.app, APP)


async def test_without_the_right_to_end_sessions_the_fix_is_told(bare: Database) -> None:
    bare.run(*(statement for statement in documented(bare) if "pg_signal_backend" not in statement))
    await bare.prepare("a", "first-word")
    session = await bare.connect(bare.alternating("a"), "first-word")
    with pytest.raises(DatabaseFault, match="GRANT pg_signal_backend"):
        await bare.lock(bare.alternating("a"))
    bare.run(f"GRANT pg_signal_backend TO {bare.admin}")
    assert await bare.lock(bare.alternating("a"))
    session.terminate()


async def test_a_superuser_is_left_as_it_is(database: Database) -> None:
    database.run(f"ALTER ROLE {database.app} SUPERUSER")
    assert not await database.lock(database.app)
    assert not await database.refuses(database.app, APP)


async def test_who_manages_the_server_keeps_the_password(database: Database) -> None:
    boss = f"boss_{database.number}"
    database.run(f"CREATE ROLE {boss} SUPERUSER LOGIN PASSWORD 'kept'")
    for role in (boss, database.admin):
        with pytest.raises(DatabaseFault, match=f"{role} may do more than"):
            await prepare_role(admin_url=database.admin_url, url=database.login(role, "new"), group=database.app)
    assert not await database.refuses(boss, "kept")
    assert not await database.refuses(database.admin, ADMIN)


async def test_a_role_that_is_gone_counts_as_locked(database: Database) -> None:
    assert await database.lock("nobody_at_all")


async def test_a_group_that_does_not_exist_is_told_with_the_fix(database: Database) -> None:
    url = database.login(database.alternating("a"), "first-word")
    with pytest.raises(DatabaseFault, match="there is no role missing: make it"):
        await prepare_role(admin_url=database.admin_url, url=url, group="missing")


async def test_a_fault_is_told_once_and_the_work_is_done_when_it_is_over(bare: Database) -> None:
    backoff, observed = Backoff(), World(now=datetime(2026, 11, 25, tzinfo=UTC)).observe()
    prepare = PrepareRole(bare.admin_url, bare.login(bare.alternating("a"), "first-word"), bare.app, DONE)
    decision = Part()
    for _ in range(2):
        assert not await work_on_role(prepare, postgresql, backoff, observed, decision, secrets=())
    assert [event.reason for event in decision.events] == ["DatabaseRotationFailed"]
    assert "the administrator's login" in decision.events[0].message
    assert ADMIN not in decision.events[0].message
    bare.run(*documented(bare))
    assert await work_on_role(prepare, postgresql, backoff, observed, decision, secrets=())
    assert await work_on_role(
        LockRole(bare.admin_url, bare.app, DONE), postgresql, backoff, observed, decision, secrets=()
    )
    assert [event.reason for event in decision.events[1:]] == ["DatabasePasswordMade", "DatabaseRoleLocked"]
    assert backoff.fault is None
    assert await bare.refuses(bare.app, APP)
