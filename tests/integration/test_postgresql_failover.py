"""Streaming replication, promotion and failover, on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from tests.requirements import require
from tests.servers.events import deliver
from tests.servers.postgres import DEBIAN_15, DURABLE, PostgresServer, wheel_programs
from tests.servers.stack import development_settings, migrate, running_stack

from payment_service.http.server import listen
from payment_service.storage.database import Database
from payment_service.storage.dialects.postgresql_connector import NoHostAnswers
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.stack import Stack

RECONNECT_SECONDS = 5.0
WRITERS = 4
NEVER_CONNECT = "http://127.0.0.1:1"


class Pair:
    """A primary and a standby that follows it."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.primary = primary
        self.standby = standby
        self.database = ""

    @property
    def url(self) -> str:
        """One address with both hosts."""
        return f"postgresql://postgres@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/{self.database}"

    def wait_for_standby(self) -> None:
        """Make commits wait for the standby, once it streams."""
        deadline = time.monotonic() + 30
        query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        while self.primary.execute(query)[0][0] == 0:
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.05)
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self.primary.execute("SELECT pg_reload_conf()")
        while self.primary.execute("SELECT sync_state FROM pg_stat_replication")[0][0] != "sync":
            assert time.monotonic() < deadline, "the standby does not become synchronous"
            time.sleep(0.05)

    def fail_over(self) -> None:
        """Kill the primary and promote the standby."""
        self.primary.kill()
        self.standby.promote()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Of version 18, or of the one given."""
    version = getattr(request, "param", "18")
    if version == "15":
        require((DEBIAN_15 / "postgres").exists(), what="PostgreSQL 15", command="apt-get install postgresql-15")
    programs = wheel_programs() if version == "18" else DEBIAN_15
    made = Pair(PostgresServer(programs, settings=DURABLE), PostgresServer(programs, settings=DURABLE))
    try:
        made.primary.create()
        made.primary.start()
        migrated = made.primary.new_database()
        migrate(migrated)
        made.database = migrated.rpartition("/")[2]
        made.standby.clone(made.primary)
        made.standby.start()
        made.wait_for_standby()
        yield made
    finally:
        made.standby.remove()
        made.primary.remove()


class Writer:
    """Delivers events without end and remembers which were acknowledged."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.acknowledged: list[str] = []
        self.last = 0.0
        self.ended = False

    async def run(self, number: int) -> None:
        """Deliver until the end; what is refused is delivered again, as Stripe does."""
        count = 0
        while not self.ended:
            name = f"evt_{number}_{count}"
            answer = await deliver(self.stack, name)
            if answer.status_code == 200:
                self.acknowledged.append(name)
                self.last = time.monotonic()
                count += 1
            else:
                assert answer.status_code == 503
                await asyncio.sleep(0.05)

    async def more(self, count: int, *, within: float) -> None:
        """Wait until `count` further events are acknowledged."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(within):
            while len(self.acknowledged) < wanted:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("pair", ["18", "15"], indirect=True)
async def test_a_failover_loses_no_acknowledged_write_and_is_over_in_five_seconds(pair: Pair) -> None:
    async with running_stack(pair.url) as stack, asyncio.TaskGroup() as group:
        writer = Writer(stack)
        for number in range(WRITERS):
            group.create_task(writer.run(number))
        await writer.more(50, within=30)
        await asyncio.to_thread(pair.fail_over)
        promoted = time.monotonic()
        await writer.more(1, within=RECONNECT_SECONDS)
        assert time.monotonic() - promoted <= RECONNECT_SECONDS
        await writer.more(20, within=30)
        writer.ended = True
    kept = {row[0] for row in pair.standby.execute("SELECT id FROM events", database=pair.database)}
    assert set(writer.acknowledged) <= kept


async def test_while_the_standby_is_away_nothing_is_acknowledged(pair: Pair) -> None:
    """A time limit of the server's would answer COMMIT with success and a warning."""
    async with running_stack(pair.url, PAYMENTS_DATABASE_STATEMENT_TIMEOUT_SECONDS="1") as stack:
        assert (await deliver(stack, "evt_before")).status_code == 200
        pair.standby.stop()
        refused = await deliver(stack, "evt_during")
        assert refused.status_code == 503
        pair.standby.start()

        async def taken() -> bool:
            return (await deliver(stack, "evt_during")).status_code == 200

        assert await stack.until(taken)


async def test_without_a_host_that_takes_writes_the_answer_is_503(pair: Pair) -> None:
    async with running_stack(pair.url) as stack:
        pair.primary.kill()
        assert (await deliver(stack, "evt_1")).status_code == 503
        assert (await stack.client.get("/health")).json()["checks"]["database"] is False


async def test_a_host_that_does_not_answer_does_not_hide_the_other(pair: Pair) -> None:
    """The first host accepts connections and says nothing."""
    silent = listen("127.0.0.1", 0)
    port = silent.getsockname()[1]
    url = f"postgresql://postgres@127.0.0.1:{port},127.0.0.1:{pair.primary.port}/{pair.database}"
    database = Database.from_settings(development_settings(database_url=url, stripe_url=NEVER_CONNECT).database)
    started = time.monotonic()
    async with database.transaction() as connection:
        assert (await connection.execute(select(func.count()).select_from(events))).scalar_one() == 0
    assert time.monotonic() - started < RECONNECT_SECONDS
    await database.close()
    silent.close()


async def test_a_lone_standby_is_told_apart_from_a_primary(pair: Pair) -> None:
    url = f"postgresql://postgres@127.0.0.1:{pair.standby.port}/{pair.database}"
    database = Database.from_settings(development_settings(database_url=url, stripe_url=NEVER_CONNECT).database)
    with pytest.raises(NoHostAnswers, match="takes no writes"):
        async with database.transaction():
            pass
    await database.close()


async def test_the_replica_serves_reads_that_may_lag_and_the_primary_takes_over(pair: Pair) -> None:
    replica = f"postgresql://postgres@127.0.0.1:{pair.standby.port}/{pair.database}"
    async with running_stack(pair.url, DATABASE_REPLICA_URL=replica) as stack:

        async def recovering(*, may_lag: bool) -> bool:
            async with stack.parts.database.read(may_lag=may_lag) as connection:
                return bool((await connection.execute(select(func.pg_is_in_recovery()))).scalar_one())

        assert await recovering(may_lag=True)
        assert not await recovering(may_lag=False)
        assert (await stack.client.get("/api/v1/subscriptions")).status_code == 200
        await asyncio.to_thread(pair.standby.stop)

        async def served_by_the_primary() -> bool:
            with contextlib.suppress(DBAPIError):  # the first use of a connection that the standby has just ended
                return not await recovering(may_lag=True)
            return False

        assert await stack.until(served_by_the_primary)
        assert (await stack.client.get("/api/v1/subscriptions")).status_code == 200
