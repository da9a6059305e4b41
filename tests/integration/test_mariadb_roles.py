"""The operator's work on MariaDB's logins, by the administrator that docs/rotation.md describes."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.requirements import require
from tests.servers.mariadb import FAST, PROGRAM, MariaDBServer
from tests.servers.stack import development_settings, migrate
from tests.unit.operator.world import World

from payment_operator.backoff import Backoff
from payment_operator.clients import database_roles
from payment_operator.effects.database_roles import work_on_role
from payment_operator.errors import DatabaseFault
from payment_operator.model.actions import LockRole, Part, Patch, PrepareRole
from payment_service.migrations.grants import apply_grants
from payment_service.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payment_service.config.settings import DatabaseSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "rotation.md"
DONE = Patch("Secret", "shop-database-roles", ())
APP, ADMIN, GROUP, OWNER = "app-word", "admin-word", "payments_app", "rotated_owner"


@dataclass
class Logins:
    """A server whose application logs in with a password; logins belong to the whole server, so names differ."""

    server: MariaDBServer
    name: str
    number: int

    def named(self, word: str) -> str:
        return f"{word}_{self.number}"

    def login(self, role: str, password: str) -> str:
        return self.server.url(self.name, user=role, password=password)

    @property
    def app(self) -> str:
        return self.named("payments")

    @property
    def admin_url(self) -> str:
        return self.login(self.named("payments_admin"), ADMIN)

    async def prepare(self, letter: str, password: str, *, group: str = "") -> None:
        url = self.login(self.named(f"shop_{letter}"), password)
        await database_roles.prepare_role(admin_url=self.admin_url, url=url, group=group or self.named(GROUP))

    async def lock(self, role: str) -> bool:
        return await database_roles.lock_role(admin_url=self.admin_url, role=role)

    def settings(self, role: str, password: str) -> DatabaseSettings:
        return development_settings(database_url=self.login(role, password), stripe_url="http://127.0.0.1:1").database

    async def refuses(self, role: str, password: str) -> bool:
        """Whether this login fails, or may not read a table of the service's."""
        database = Database.from_settings(self.settings(role, password))
        try:
            async with database.transaction() as connection:
                await connection.execute(text("SELECT COUNT(*) FROM customers"))
        except DBAPIError:
            return True
        finally:
            await database.close()
        return False


def documented(logins: Logins) -> list[str]:
    """The statements in docs/rotation.md that make role and administrator, under names of this test's."""
    _, block = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    named = re.sub(r"\b(payments|payments_app|payments_admin)\b", lambda found: logins.named(found[0]), block)
    return [statement for line in named.replace("'a long one'", f"'{ADMIN}'").split(";") if (statement := line.strip())]


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDBServer]:
    """A server that writes every statement into its log."""
    require(PROGRAM.exists(), what="MariaDB", command="apt-get install mariadb-server-core mariadb-client")
    made = MariaDBServer(settings=FAST | {"general-log": "ON", "general-log-file": "statements"})
    made.create()
    made.start()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def migrated(server: MariaDBServer) -> str:
    """The name of a database with the service's tables, and an owner's login."""
    name = server.new_database().rpartition("/")[2]
    server.execute(f"CREATE USER {OWNER}@'%' IDENTIFIED BY 'x'; GRANT ALL ON {name}.* TO {OWNER} WITH GRANT OPTION")
    migrate(server.url(name, user=OWNER, password="x"))
    return name


@pytest.fixture
def bare(server: MariaDBServer, migrated: str) -> Logins:
    """The application's login, without an administrator."""
    server.new_database()  # counts
    made = Logins(server, migrated, server._databases)
    server.execute(f"CREATE USER {made.app}@'%' IDENTIFIED BY '{APP}'")
    return made


@pytest.fixture
def logins(bare: Logins) -> Logins:
    """With role and administrator, and the role's rights."""
    bare.server.execute(";".join(documented(bare)))
    for _ in range(2):  # as each migration ends, it changes nothing again
        asyncio.run(apply_grants(bare.settings(OWNER, "x"), role=bare.named(GROUP), apply=True))
    return bare


async def test_rotations_alternate_and_every_former_login_ends_locked(logins: Logins) -> None:
    former, password = logins.app, APP
    for number, letter in enumerate("abab"):
        await logins.prepare(letter, f"word-{number}")
        assert not await logins.refuses(former, password)
        assert await logins.lock(former)
        assert await logins.refuses(former, password)
        former, password = logins.named(f"shop_{letter}"), f"word-{number}"
        assert not await logins.refuses(former, password)


async def test_everything_can_be_done_again(logins: Logins) -> None:
    for _ in range(2):
        await logins.prepare("a", "first-word")
    for _ in range(2):
        assert await logins.lock(logins.app)
    await logins.prepare("a", "second-word")
    assert await logins.refuses(logins.named("shop_a"), "first-word")
    assert not await logins.refuses(logins.named("shop_a"), "second-word")


async def test_the_rights_are_rows_and_no_tables(logins: Logins) -> None:
    await logins.prepare("a", "first-word")
    database = Database.from_settings(logins.settings(logins.named("shop_a"), "first-word"))
    try:
        for statement in ("DROP TABLE customers", "UPDATE outbox SET cause = 'x'"):
            with pytest.raises(DBAPIError, match="denied"):
                async with database.transaction() as connection:
                    await connection.execute(text(statement))
    finally:
        await database.close()


async def test_the_sessions_of_a_locked_login_end_and_no_other(logins: Logins) -> None:
    await logins.prepare("a", "first-word")
    one, other = (
        Database.from_settings(logins.settings(role, password))
        for role, password in ((logins.named("shop_a"), "first-word"), (logins.app, APP))
    )
    alive = text("SELECT 1")
    try:
        async with one.engine.connect() as ended, other.engine.connect() as kept:
            for connection in (ended, kept):
                await connection.execute(alive)
            assert await logins.lock(logins.named("shop_a"))
            await kept.execute(alive)
            with pytest.raises(DBAPIError):
                await ended.execute(alive)
    finally:
        await one.close()
        await other.close()


async def test_the_servers_logs_hold_no_password(logins: Logins) -> None:
    password = f"never-in-a-log-{logins.number}"
    await logins.prepare("a", password)
    log = (logins.server.folder / "data" / "statements").read_text(errors="replace")
    assert f"ALTER USER '{logins.named('shop_a')}'" in log
    assert password not in log + (logins.server.folder / "log").read_text()


async def test_a_login_that_somebody_else_made_for_some_hosts_is_taken_as_it_is(logins: Logins) -> None:
    role = logins.named("shop_a")
    logins.server.execute(f"CREATE USER {role}@'127.0.0.1' IDENTIFIED BY 'theirs' ACCOUNT LOCK")
    await logins.prepare("a", "first-word")
    assert not await logins.refuses(role, "first-word")
    hosts = logins.server.execute(f"SELECT Host FROM mysql.user WHERE User = '{role}'").split()[1:]
    assert hosts == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("lacks", "locking"), [("CREATE USER, ", False), (", CONNECTION ADMIN", True), ("WITH ADMIN OPTION", False)]
)
async def test_what_the_administrator_lacks_is_told_with_the_fix(bare: Logins, lacks: str, *, locking: bool) -> None:
    bare.server.execute(";".join(documented(bare)).replace(lacks, ""))
    await apply_grants(bare.settings(OWNER, "x"), role=bare.named(GROUP), apply=True)
    session = Database.from_settings(bare.settings(bare.app, APP))
    try:
        async with session.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            with pytest.raises(DatabaseFault, match=r"docs/rotation\.md"):
                await (bare.lock(bare.app) if locking else bare.prepare("a", "first-word"))
    finally:
        await session.close()


async def test_a_superuser_is_left_as_it_is_and_who_is_gone_counts_as_locked(logins: Logins) -> None:
    logins.server.execute(f"GRANT SUPER ON *.* TO {logins.app}")
    assert not await logins.lock(logins.app)
    assert not await logins.refuses(logins.app, APP)
    assert await logins.lock("nobody_at_all")


async def test_who_manages_the_server_keeps_the_password(logins: Logins) -> None:
    logins.server.execute(f"GRANT SUPER ON *.* TO {logins.app}")
    for role in (logins.app, logins.named("payments_admin")):
        url, group = logins.login(role, "new"), logins.named(GROUP)
        with pytest.raises(DatabaseFault, match=f"{role} may do more than"):
            await database_roles.prepare_role(admin_url=logins.admin_url, url=url, group=group)
    assert not await logins.refuses(logins.app, APP)
    assert await logins.lock("nobody_at_all")


async def test_a_group_that_is_no_role_is_told_with_the_fix(logins: Logins) -> None:
    with pytest.raises(DatabaseFault, match="there is no role missing: CREATE ROLE missing"):
        await logins.prepare("a", "first-word", group="missing")
    with pytest.raises(DatabaseFault, match="there is no role payments_"):
        await logins.prepare("a", "first-word", group=logins.app)


async def test_a_fault_is_told_once_and_the_work_is_done_when_it_is_over(bare: Logins) -> None:
    backoff, observed = Backoff(), World(now=datetime(2026, 11, 25, tzinfo=UTC)).observe()
    url = bare.login(bare.named("shop_a"), "first-word")
    prepare = PrepareRole(bare.admin_url, url, bare.named(GROUP), DONE)
    decision = Part()
    for _ in range(2):
        assert not await work_on_role(prepare, database_roles, backoff, observed, decision, secrets=())
    assert [event.reason for event in decision.events] == ["DatabaseRotationFailed"]
    assert "the administrator's login" in decision.events[0].message
    assert ADMIN not in decision.events[0].message
    bare.server.execute(";".join(documented(bare)))
    bare.server.execute(f"GRANT SELECT ON {bare.name}.customers TO {bare.named(GROUP)}")
    assert await work_on_role(prepare, database_roles, backoff, observed, decision, secrets=())
    lock = LockRole(bare.admin_url, bare.app, DONE)
    assert await work_on_role(lock, database_roles, backoff, observed, decision, secrets=())
    assert [event.reason for event in decision.events[1:]] == ["DatabasePasswordMade", "DatabaseRoleLocked"]
    assert await bare.refuses(bare.app, APP)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mariadb://a:word@127.0.0.1:1,127.0.0.1:2/x", "127.0.0.1:2"),
        ("mariadb://a:some/word@db/x", "percent-encode"),
        ("mariadb://a:word@db/x?ssl-mode=PREFERRED", "ssl-mode='PREFERRED'"),
    ],
)
async def test_an_address_that_cannot_be_used_is_told_without_its_password(address: str, said: str) -> None:
    with pytest.raises(DatabaseFault, match=re.escape(said)) as told:
        await database_roles.lock_role(admin_url=address, role="a")
    assert "word" not in str(told.value).replace("password", "")
