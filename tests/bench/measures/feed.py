"""The feed: what giving numbers costs, a look that finds nothing to number, and reading pages."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.arms import Ours
from tests.bench.session import UnequalWork, get_request
from tests.servers.stack import development_settings

from payment_service.clock import Clock
from payment_service.feed.sequencer import Sequencer
from payment_service.storage.database import Database

if TYPE_CHECKING:
    from tests.bench.session import Session

ROWS = 20_000
LOOKS = 200
SECONDS = 2.0
_FILL = """
INSERT INTO outbox (object_type, object_id, before, after, cause, created_at)
SELECT 'webhook_endpoint.disabled', 'lpw_' || n, NULL,
    json_build_object('id', 'lpw_' || n, 'reason', 'gone', 'failing_since', NULL), 'fetch', now()
FROM generate_series(1, {rows}) n
"""


def run(session: Session) -> None:
    """Number rows that wait, look when there are none, and read what was numbered."""
    ours = Ours(session.machine)
    ours.prepare()
    ours.start()
    try:
        key = ours.payments("keys", "create", "reader", "--scope", "events:read").strip()
        page = [get_request("/api/v1/events?limit=100", api_key=key)]
        for _ in session.turns("feed"):
            asyncio.run(_number(session, ours.database, rows=max(1, int(ROWS * session.pace))))
            work = partial(session.drive, ours.port, connections=8, seconds=SECONDS, requests=page)
            load = session.measured(ours, work)
            session.record("page of 100 events, 8 in flight", "ours", load.result.per_second, "requests/s")
            session.record("page of 100 events, CPU", "ours", load.cpu_microseconds / 100, "µs/event")
    finally:
        ours.stop()


async def _number(session: Session, url: str, *, rows: int) -> None:
    """Run the passes of one process, in this one, which is all that a pass needs.

    Raises:
        UnequalWork: not every row has a number.
    """
    settings = development_settings(database_url=url, stripe_url=session.machine.stripe_url)
    database = Database.from_settings(settings.database)
    sequencer = Sequencer(database, clock=Clock())
    try:
        await sequencer.number_all()
        async with database.transaction() as connection:
            await connection.exec_driver_sql(_FILL.format(rows=rows))
        began, cpu = time.perf_counter(), time.process_time()
        numbered = await sequencer.number_all()
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        if numbered != rows:
            raise UnequalWork(f"{numbered} rows numbered of {rows}")
        session.record("numbering, one pass after the other", "ours", rows / took, "rows/s")
        session.record("numbering, CPU", "ours", cpu / rows * 1e6, "µs/row")
        began = time.perf_counter()
        for _ in range(LOOKS):
            await sequencer.look()
        session.record("look at the feed without news", "ours", (time.perf_counter() - began) / LOOKS * 1000, "ms")
    finally:
        await sequencer.close()
        await database.close()
