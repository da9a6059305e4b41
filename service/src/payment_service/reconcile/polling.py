"""Reads Stripe's list of events and puts into the inbox what no webhook brought (docs.stripe.com/api/events/list).

The list is walked in windows of time, each stored whole before the cursor moves, so that an interrupted walk goes on
where it was. Each window begins before the cursor: an event may become visible late. The youngest events are left to
their webhooks.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from payment_service.clock import isoformat
from payment_service.events import payloads
from payment_service.events.retry_policy import UNREADABLE
from payment_service.events.rows import row_of
from payment_service.events.store import insert_missed
from payment_service.mirror.kind import IMPORT
from payment_service.mirror.registry import KINDS
from payment_service.observability.metrics import DRIFT
from payment_service.reconcile import store
from payment_service.reconcile.schemas import readable
from payment_service.storage.cursors import read_cursor, write_cursor
from payment_service.stripe_api import calls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from payment_service.clock import Clock
    from payment_service.events.rows import EventRow
    from payment_service.reconcile.schemas import Report
    from payment_service.storage.database import Database
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway

CURSOR: Final = "reconcile.events"
OVERLAP_SECONDS: Final = 300
SETTLE_SECONDS: Final = 60
WINDOW_SECONDS: Final = 3600
WINDOWS: Final = 24
"""A long gap is walked in about so many windows, a short one in hours."""
KEPT_SECONDS: Final = 29 * 86400
"""Stripe keeps events for 30 days; a day less leaves time to read them."""

log = structlog.get_logger("payments")


class EventPoller:
    """Reads the events of one account and mode."""

    def __init__(
        self, database: Database, gateway: StripeGateway, *, budget: StripeBudget, clock: Clock, livemode: bool
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._budget = budget
        self._clock = clock
        self._livemode = livemode

    async def has_gap(self) -> bool:
        """Tell whether the cursor is older than what Stripe remembers."""
        async with self._database.read() as connection:
            stored = await read_cursor(connection, CURSOR)
        return stored is not None and stored["until"] < self._clock.timestamp() - SETTLE_SECONDS - KEPT_SECONDS

    async def poll(self, report: Report, *, since: int | None, dry_run: bool, progress: Callable[[str], None]) -> None:
        """Walk from the cursor (or `since`) to the present; the first time from where the import began."""
        end = int(self._clock.timestamp()) - SETTLE_SECONDS
        async with self._database.read() as connection:
            stored = await read_cursor(connection, CURSOR)
            imported = None if stored else await read_cursor(connection, IMPORT)
        begin = stored["until"] if stored else imported["began_at"] if imported else end
        start = min(begin if since is None else since, end)
        start = max(start, end - KEPT_SECONDS)
        window = max(WINDOW_SECONDS, (end - start) // WINDOWS)
        while True:
            stop = min(start + window, end)
            created = {"gte": start - OVERLAP_SECONDS, "lt": max(stop, start)}
            async for page in self._pages(created=created):
                await self.take(page, report, dry_run=dry_run)
            if not dry_run:
                await self._advance(stop)
            until = isoformat(datetime.fromtimestamp(stop, tz=UTC))
            progress(f"events until {until}: {report.looked_at} looked at, {sum(report.missed.values())} missed")
            if stop >= end:
                return
            start = stop

    async def undelivered(self, report: Report, *, dry_run: bool) -> None:
        """Take the events whose delivery failed, wherever the cursor is."""
        now = int(self._clock.timestamp())
        created = {"gte": now - KEPT_SECONDS, "lt": now - SETTLE_SECONDS}
        async for page in self._pages(created=created, delivery_success=False):
            await self.take(page, report, dry_run=dry_run)

    async def _pages(self, **params: object) -> AsyncIterator[list[object]]:
        after: dict[str, str] = {}
        while True:
            await self._budget.take()
            page = await calls.list_page(self._gateway, "events", **params, **after)
            if page.data:
                yield page.data
            if not page.has_more:
                return
            after = {"starting_after": page.last_id}

    async def take(self, page: Sequence[object], report: Report, *, dry_run: bool) -> None:
        """Put events into the inbox that are not there; kinds that are never applied are left out.

        One that cannot be read goes in too, dead with its reason, as it would have by its webhook.
        """
        listed = {row["id"]: (row, kind) for row, kind in map(self._row, page) if kind in KINDS or kind == UNREADABLE}
        async with self._database.read() as connection:
            missing = listed.keys() - await store.known(connection, list(listed))
        rows = [listed[event_id][0] for event_id in sorted(missing)]
        made = [row["id"] for row in rows] if dry_run else await self._insert(rows)
        missed = Counter(listed[event_id][1] for event_id in made)
        report.add(looked_at=len(page), missed=missed)
        for kind, count in missed.items() if not dry_run else ():
            DRIFT.labels(kind).inc(count)
            log.warning("events_missed", kind=kind, count=count)

    def _row(self, event: object) -> tuple[EventRow, str]:
        """Return the row of a listed event, and the kind of its object."""
        body = msgspec.json.encode(readable(event) if isinstance(event, dict) else event)
        row = row_of(body, source="reconcile", livemode=self._livemode, now=self._clock.now())
        return row, UNREADABLE if row["state"] == "dead" else str(payloads.read(body).object.get("object"))

    async def _insert(self, rows: list[EventRow]) -> list[str]:
        if not rows:
            return []
        async with self._database.transaction() as connection:
            return await insert_missed(connection, rows)

    async def _advance(self, until: int) -> None:
        """Move the cursor on, never back: a slower run may end after a faster one."""
        async with self._database.transaction() as connection:
            stored = await read_cursor(connection, CURSOR)
            if stored is None or stored["until"] < until:
                await write_cursor(connection, CURSOR, {"until": until}, now=self._clock.now())
