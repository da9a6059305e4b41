"""A dump that was made under writes, restored: what it holds is of one moment, and the service goes on with it."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import count
from typing import TYPE_CHECKING

import pytest
from tests.integration.test_mariadb_migrations import structure
from tests.integration.test_recovery import CARD, KEY, recovered
from tests.servers import dumps
from tests.servers.stack import Stack, development_settings, running_stack

from payment_service.migrations.grants import apply_grants
from payment_service.storage.tables import subscriptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.servers.mariadb import MariaDBServer

OWNER, APPLICATION, PASSWORD = "restoring_owner", "restored_app", "mariadb-role-password"
PAIR = "CREATE TABLE one (n INT PRIMARY KEY); CREATE TABLE other (n INT PRIMARY KEY)"


@pytest.fixture
def folder() -> Iterator[Path]:
    with dumps.pod() as made:
        yield made


@pytest.fixture
async def own(mariadb_server: MariaDBServer) -> AsyncIterator[tuple[Stack, str]]:
    """The service, on a database that the test may destroy."""
    url = mariadb_server.new_database()
    async with running_stack(url) as stack:
        yield stack, url


@contextlib.asynccontextmanager
async def written(server: MariaDBServer, database: str) -> AsyncIterator[None]:
    """Write pairs, each in one transaction, for as long as this lasts."""
    server.execute(PAIR, database=database)
    ended = asyncio.Event()

    async def write() -> None:
        for first in count(step=50):
            if ended.is_set():
                return
            pairs = (
                f"BEGIN; INSERT INTO one VALUES ({n}); INSERT INTO other VALUES ({n}); COMMIT;"
                for n in range(first, first + 50)
            )
            await asyncio.to_thread(server.execute, "\n".join(pairs), database=database)

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        ended.set()
        await writing


async def dump(server: MariaDBServer, url: str, folder: Path) -> None:
    async with written(server, url.rpartition("/")[2]):
        await asyncio.sleep(0.2)
        saved = await asyncio.to_thread(dumps.run, "backup", folder, url=url)
    assert saved.returncode == 0, saved.stderr


async def restore(url: str, folder: Path) -> None:
    done = await asyncio.to_thread(dumps.run, "restore", folder, url=url)
    assert done.returncode == 0, done.stderr


async def test_a_retry_after_a_restore_charges_once(
    own: tuple[Stack, str], mariadb_server: MariaDBServer, folder: Path
) -> None:
    stack, url = own
    name = url.rpartition("/")[2]
    await stack.create(email="eva@example.com", headers={"Idempotency-Key": "before"})
    await dump(mariadb_server, url, folder)
    before = structure(mariadb_server, url)
    body = {"customer_reference": "user-1", "email": "ada@example.com", "payment_method_id": CARD}
    first = (await stack.create(**body, headers=KEY)).json()
    last = int(mariadb_server.execute("SELECT COUNT(*) FROM one", database=name).split()[1])
    mariadb_server.execute(f"DROP DATABASE {name}; CREATE DATABASE {name} COLLATE utf8mb4_nopad_bin")
    await restore(url, folder)
    assert structure(mariadb_server, url) == before
    pairs = "SELECT COUNT(*), COUNT(other.n), (SELECT COUNT(*) FROM other) FROM one LEFT JOIN other USING (n)"
    counts = set(mariadb_server.execute(pairs, database=name).split("\n")[1].split())
    assert len(counts) == 1, "of a pair one row is missing"
    assert 0 < int(counts.pop()) < last
    mariadb_server.execute("KILL USER payments")  # whose sessions have no database any more

    async def answers() -> bool:
        return bool((await stack.create(**body, headers=KEY)).json().get("code") == "recovering")

    await stack.until(answers)
    await recovered(stack)
    again = await stack.create(**body, headers=KEY)
    assert (again.status_code, again.json()["status"]) == (201, "active")
    assert again.json()["stripe_subscription_id"] == first["stripe_subscription_id"]
    assert len(stack.charges()) == 1
    assert len(await stack.rows(subscriptions)) == len(stack.simulator.state.all("customer")) == 2


async def test_a_copy_that_another_owner_restored_serves_under_the_applications_login(
    own: tuple[Stack, str], mariadb_server: MariaDBServer, folder: Path
) -> None:
    stack, url = own
    await stack.create(email="eva@example.com")
    await dump(mariadb_server, url, folder)
    name = mariadb_server.new_database().rpartition("/")[2]
    for login in (OWNER, APPLICATION):
        mariadb_server.execute(f"CREATE OR REPLACE USER {login}@'%' IDENTIFIED BY '{PASSWORD}'")
    mariadb_server.execute(f"GRANT ALL ON {name}.* TO {OWNER}@'%' WITH GRANT OPTION")
    owner, application = (mariadb_server.url(name, user=login, password=PASSWORD) for login in (OWNER, APPLICATION))
    await restore(owner, folder)
    settings = development_settings(database_url=owner, stripe_url="http://127.0.0.1:1").database
    await apply_grants(settings, role=APPLICATION, apply=True)
    async with running_stack(application, DATABASE_MIGRATION_URL=owner) as copy:
        await recovered(copy)
        made = await copy.create(email="ada@example.com", payment_method_id=CARD)
        assert made.status_code == 201
        rows = await copy.rows(subscriptions)
        assert {row["stripe_subscription_id"] for row in rows} >= {made.json()["stripe_subscription_id"]}
