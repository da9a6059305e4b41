"""The numbers of the feed on each database."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, func, insert, select
from tests.servers.stack import development_settings

from payment_service.clock import MovableClock
from payment_service.feed import store
from payment_service.feed.arrivals import Arrivals
from payment_service.feed.errors import CursorExpired
from payment_service.feed.filters import Filters
from payment_service.feed.numbering import is_due, number_rows
from payment_service.feed.readers import FeedReaders
from payment_service.feed.sequencer import Sequencer
from payment_service.feed.service import Feed
from payment_service.http.drain import DrainState
from payment_service.storage.cursors import read_cursor
from payment_service.storage.database import Database
from payment_service.storage.feed_table import POSITION, feed
from payment_service.storage.tables import cursors, outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

PATIENT_SECONDS = 600
"""After which each database is asked for what is missing: MariaDB's statements of two minutes and less have ended."""
ROW = {"object_type": "thing", "before": None, "after": None, "cause": "c", "created_at": datetime.now(tz=UTC)}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    settings = development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1")
    made = Database.from_settings(settings.database)
    yield made
    await made.close()


async def write(connection: AsyncConnection, *names: str) -> None:
    await connection.execute(insert(outbox), [ROW | {"object_id": name} for name in names])


async def told(database: Database) -> list[tuple[int, str]]:
    statement = select(feed.c.sequence, outbox.c.object_id).join(outbox, outbox.c.seq == feed.c.outbox_seq)
    async with database.read() as connection:
        return [(row.sequence, row.object_id) for row in await connection.execute(statement.order_by(feed.c.sequence))]


async def missing(database: Database) -> list[object]:
    async with database.read() as connection:
        position = await read_cursor(connection, POSITION)
    assert position is not None
    return list(position["missing"])


async def test_rows_are_numbered_once(database: Database) -> None:
    clock = MovableClock()
    for name in ("a", "b"):
        async with database.transaction() as connection:
            await write(connection, name)
        assert await is_due(database)
        assert await number_rows(database, clock=clock) == (1, False)
    assert not await is_due(database)
    assert await number_rows(database, clock=clock) == (0, False)
    assert await told(database) == [(1, "a"), (2, "b")]


async def test_a_row_that_is_committed_late_has_its_number_then(database: Database) -> None:
    if database.dialect.has_one_writer:
        pytest.skip("there is one writer at a time: SQLite")
    clock = MovableClock()
    async with database.transaction() as slow:
        await write(slow, "slow")
        async with database.transaction() as connection:
            await write(connection, "quick")
        await number_rows(database, clock=clock)
        clock.advance(PATIENT_SECONDS)
        for _ in range(2):  # who writes is asked for, and still writes
            await number_rows(database, clock=clock)
        assert await told(database) == [(1, "quick")]
        assert await missing(database)
    assert await number_rows(database, clock=clock) == (1, False)
    assert await told(database) == [(1, "quick"), (2, "slow")]
    assert await missing(database) == []


async def test_the_number_of_a_row_that_was_rolled_back_is_given_up(database: Database) -> None:
    clock = MovableClock()
    with suppress(ZeroDivisionError):
        async with database.transaction() as connection:
            await write(connection, "never")
            raise ZeroDivisionError
    async with database.transaction() as connection:
        await write(connection, "a")
    await number_rows(database, clock=clock)
    clock.advance(PATIENT_SECONDS)
    await number_rows(database, clock=clock)
    assert await missing(database) == []
    assert await told(database) == [(1, "a")]


async def test_what_is_past_its_retention_loses_its_number_and_the_count_goes_on(database: Database) -> None:
    sequencer = Sequencer(database, clock=MovableClock())
    async with database.transaction() as connection:
        await write(connection, "a", "b", "c")
    assert await sequencer.number_all() == 3
    async with database.transaction() as connection:
        last = (await connection.execute(select(func.max(outbox.c.seq)))).scalar_one()
        await connection.execute(delete(outbox).where(outbox.c.seq < last))
    await sequencer.trim()
    async with database.transaction() as connection:
        await write(connection, "d")
    assert await sequencer.number_all() == 1
    assert await told(database) == [(3, "c"), (4, "d")]
    await sequencer.close()


async def test_a_backlog_is_numbered_in_its_order(database: Database) -> None:
    sequencer = Sequencer(database, clock=MovableClock())
    names = [f"{number:05}" for number in range(5_000)]
    async with database.transaction() as connection:
        await write(connection, *names)
    assert await sequencer.number_all() == len(names)
    assert await told(database) == list(enumerate(names, start=1))
    await sequencer.close()


async def test_who_has_read_everything_goes_on_when_no_event_is_kept_any_more(database: Database) -> None:
    if database.dialect.has_one_writer:
        pytest.skip("its newest row is always kept: SQLite")
    sequencer, reading = Sequencer(database, clock=MovableClock()), Feed(database, livemode=False)
    async with database.transaction() as connection:
        await write(connection, "a", "b")
    await sequencer.number_all()
    first, last = (await reading.page(after=None, filters=Filters(), limit=10)).page.data
    async with database.transaction() as connection:
        await connection.execute(delete(outbox))
    await sequencer.trim()
    nothing = (await reading.page(after=last.id, filters=Filters(), limit=10)).page
    assert (nothing.data, nothing.has_more, nothing.next) == ([], False, last.id)
    with pytest.raises(CursorExpired):
        await reading.page(after=first.id, filters=Filters(), limit=10)
    async with database.transaction() as connection:
        await write(connection, "c")
    await sequencer.number_all()
    (event,) = (await reading.page(after=last.id, filters=Filters(), limit=10)).page.data
    assert (event.sequence, event.object_id) == (3, "c")
    await sequencer.close()


@pytest.mark.parametrize("named", [True, False])
async def test_what_is_removed_while_a_page_is_read_is_no_gap(
    database: Database, *, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer, reading = Sequencer(database, clock=MovableClock()), Feed(database, livemode=False)
    async with database.transaction() as connection:
        await write(connection, *"abcdef")
    await sequencer.number_all()
    first = (await reading.page(after=None, filters=Filters(), limit=1)).page.data[0]
    places = store.places

    async def overtaken(connection: AsyncConnection, **wanted: Any) -> Any:
        """Retention removes the first four before what is behind the place is read."""
        monkeypatch.setattr(store, "places", places)
        async with database.transaction() as other:
            four = select(outbox.c.seq).order_by(outbox.c.seq).limit(4)
            seqs = list((await other.execute(four)).scalars())
            await other.execute(delete(outbox).where(outbox.c.seq.in_(seqs)))
        await sequencer.trim()
        return await places(connection, **wanted)

    monkeypatch.setattr(store, "places", overtaken)
    asked = reading.page(after=first.id if named else None, filters=Filters(), limit=10)
    if named and not database.dialect.has_one_writer:
        with pytest.raises(CursorExpired):
            await asked
    else:  # a page of SQLite is of one moment
        told_of = "".join(event.object_id for event in (await asked).page.data)
        assert told_of == ("bcdef" if named else "abcdef" if database.dialect.has_one_writer else "ef")
    await sequencer.close()


async def restore(database: Database) -> None:
    """Bring back the time before the first event."""
    async with database.transaction() as connection:
        for table in (feed, outbox, cursors):
            await connection.execute(delete(table))


async def test_readers_of_a_database_that_was_restored_wait_for_its_next_event(
    database: Database, database_url: str
) -> None:
    settings = development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1").database
    sequencer = Sequencer(database, clock=MovableClock())
    arrivals = Arrivals(database, sequencer, settings=settings, drain=DrainState())
    async with database.transaction() as connection:
        await write(connection, "a", "b")
    await sequencer.number_all()
    assert await arrivals.beyond(1, seconds=30)
    await restore(database)
    async with asyncio.timeout(30):
        while await arrivals.beyond(0, seconds=0.1):  # noqa: ASYNC110 - what is awaited tells nobody
            await asyncio.sleep(0.1)
    await arrivals.close()
    await sequencer.close()


@pytest.mark.parametrize("fault", ["away", "restored"])
async def test_a_stream_ends_when_its_database_is_away_or_was_restored(
    database: Database, database_url: str, fault: str
) -> None:
    settings = development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1").database
    sequencer = Sequencer(database, clock=MovableClock())
    arrivals = Arrivals(database, sequencer, settings=settings, drain=DrainState())
    async with database.transaction() as connection:
        await write(connection, "a")
    await sequencer.number_all()
    first = (await Feed(database, livemode=False).page(after=None, filters=Filters(), limit=10)).page
    address = "postgresql://nobody@127.0.0.1:1/nothing"
    nowhere = development_settings(database_url=address, stripe_url="http://127.0.0.1:1").database
    read_from = Database.from_settings(nowhere) if fault == "away" else database
    readers = FeedReaders(Feed(read_from, livemode=False), arrivals)
    scope: Any = {}
    stream = readers.stream(first, filters=Filters(), scope=scope)
    assert first.data[0].id.encode() in await anext(stream)
    await restore(database)
    assert [part async for part in stream] == []
    await read_from.close()
    await sequencer.close()


async def test_a_wait_ends_when_the_pod_drains_and_none_begins_after_that(
    database: Database, database_url: str
) -> None:
    settings = development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1").database
    sequencer, drain = Sequencer(database, clock=MovableClock()), DrainState()
    arrivals = Arrivals(database, sequencer, settings=settings, drain=drain)
    readers = FeedReaders(Feed(database, livemode=False), arrivals)
    scope: Any = {}
    wait = partial(readers.page, after=None, filters=Filters(), limit=10, wait=3_600, scope=scope)
    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0.5)
    assert not waiting.done()
    drain.stop()
    async with asyncio.timeout(60):
        assert (await waiting).data == []
        assert (await wait()).data == []
    assert 0 < scope["waited"] < 60
    await arrivals.close()
    await sequencer.close()
