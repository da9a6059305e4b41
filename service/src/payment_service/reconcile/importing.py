"""Imports what the account held before this service came: `payments import`, and each worker until it is done.

What the guards of a creation look at is imported (`Kind.guards`); prices are fetched when they are ordered.
Until then a missing row is no proof, and creation by address is refused where none is found (`customers/history.py`).
Stripe's lists are walked newest first, a page at a time; each page is written together with the place that the walk has
reached, so that an interrupted one goes on there, whoever goes on. What is made while it lasts is told by events, which
are read from its beginning on (`reconcile/polling.py`). `payments reconcile --full` brings what else Stripe holds.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import bindparam, update

from payment_service.events.rows import row_of_ours
from payment_service.events.store import insert_missed
from payment_service.mirror.kind import IMPORT
from payment_service.mirror.registry import KINDS, guarding
from payment_service.reconcile.schemas import readable
from payment_service.storage.cursors import read_cursor, write_cursor
from payment_service.storage.database import is_unavailable
from payment_service.storage.ids import new_id
from payment_service.storage.mirror import NeedsFetch, Provenance, reach_of
from payment_service.storage.tables import cursors
from payment_service.stripe_api import calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.mirror.kind import Kind
    from payment_service.storage.database import Database
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway
    from payment_service.stripe_api.objects import Page

CHECK_SECONDS: Final = 5.0
ABANDONED_SECONDS: Final = 60.0
"""After so long without a page another worker goes on."""
_TAKE: Final = (
    update(cursors)
    .where(cursors.c.name == IMPORT, cursors.c.updated_at <= bindparam("c_before"))
    .values(updated_at=bindparam("c_now"))
)

log = structlog.get_logger("payments")


class Importer:
    """Walks over the history of one account and mode.

    Args:
        database: the mirror, and how far the walk is.
        gateway: lists objects.
        budget: of calls to Stripe, shared with the workers' fetches and reconciliation.
        clock: the time.
        livemode: of the account.
    """

    def __init__(
        self, database: Database, gateway: StripeGateway, *, budget: StripeBudget, clock: Clock, livemode: bool
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._budget = budget
        self._clock = clock
        self._livemode = livemode
        self._done = False

    async def run_due(self) -> None:
        """Import unless that is done, or another process does it."""
        if self._done:
            return
        now = self._clock.now()
        async with self._database.transaction() as connection:
            position = await read_cursor(connection, IMPORT)
            self._done = position is not None and position.get("completed_at") is not None
            before = now - timedelta(seconds=ABANDONED_SECONDS)
            if self._done or not (position is None or await _take(connection, before=before, now=now)):
                return
            if position is None:
                await write_cursor(connection, IMPORT, self._beginning(), now=now)
        await self.run()

    async def run(self, *, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
        """Import, from where an interrupted walk was; return how far it is: complete.

        Raises:
            PaymentsError: Stripe refuses the list, or is away; nothing is lost of what was written.
        """
        async with self._database.read() as connection:
            position = await read_cursor(connection, IMPORT)
        position = position or self._beginning()
        while position.get("completed_at") is None:
            position = await self._write_page(position)
            counts = ", ".join(f"{count} {kind}s" for kind, count in position["counts"].items())
            progress(f"imported: {counts or 'nothing yet'}")
        return position

    def _beginning(self) -> dict[str, Any]:
        return {"began_at": int(self._clock.timestamp()), "kind": guarding()[0], "after": None, "counts": {}}

    async def _write_page(self, position: dict[str, Any]) -> dict[str, Any]:
        """Write the next page and how far that is, in one transaction."""
        kind = KINDS[position["kind"]]
        await self._budget.take()
        as_of = reach_of(self._clock)
        more = {"starting_after": position["after"]} if position["after"] else {}
        page = await calls.list_page(self._gateway, kind.collection, **kind.listing, **more)
        objects: list[JsonObject] = [{"livemode": self._livemode, **readable(obj)} for obj in page.objects]
        counts = {**position["counts"], kind.name: position["counts"].get(kind.name, 0) + len(objects)}
        following = {**position, **self._next(kind, page), "counts": counts}
        try:
            async with self._database.transaction() as connection:
                unclear = [obj for obj in objects if not await self._write(connection, kind, obj, as_of=as_of)]
                await self._leave_to_workers(connection, kind, unclear, as_of=as_of)
                await write_cursor(connection, IMPORT, following, now=self._clock.now())
        except Exception as error:
            if is_unavailable(error):
                raise
            log.warning("page_not_imported_at_once", kind=kind.name, error=type(error).__name__)
            async with self._database.transaction() as connection:
                await self._leave_to_workers(connection, kind, objects, as_of=as_of)
                await write_cursor(connection, IMPORT, following, now=self._clock.now())
        return following

    async def _write(self, connection: AsyncConnection, kind: Kind, obj: JsonObject, *, as_of: int) -> bool:
        """Write what the list shows; False when that is not the whole. A row that is newer stays."""
        try:
            await kind.write(connection, obj, provenance=Provenance(IMPORT, as_of, self._clock.now()))
        except NeedsFetch:
            return not kind.is_cut(obj)
        return True

    async def _leave_to_workers(
        self, connection: AsyncConnection, kind: Kind, objects: list[JsonObject], *, as_of: int
    ) -> None:
        """Bring objects through the inbox, where one that cannot be written costs no other."""
        now = self._clock.now()
        rows = [
            row_of_ours(kind.name, obj, event_id=new_id("rec"), as_of=as_of, livemode=self._livemode, now=now)
            for obj in objects
        ]
        await insert_missed(connection, rows)

    def _next(self, kind: Kind, page: Page) -> dict[str, Any]:
        if page.has_more:
            return {"after": page.last_id}
        following = guarding()[guarding().index(kind.name) + 1 :]
        if not following:
            return {"after": None, "completed_at": int(self._clock.timestamp())}
        return {"after": None, "kind": following[0]}


async def _take(connection: AsyncConnection, *, before: datetime, now: datetime) -> bool:
    """Go on with a walk that nobody has gone on with since `before`."""
    return bool((await connection.execute(_TAKE, {"c_before": before, "c_now": now})).rowcount)
