"""Lists every object of Stripe's and compares it with its row: for gaps longer than Stripe keeps events.

What differs goes into the inbox as an event of ours that shows the object, and is applied as any other. Objects deleted
at Stripe are in no list: customers are asked for (`absence.py`), a deletion of another kind in such a gap stays unseen
until something else tells of it. What Stripe lists for a customer alone is listed anew when somebody asks for it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import structlog

from payment_service.customers.people import of_deleted
from payment_service.errors import StripeMisconfigured
from payment_service.events.rows import row_of_ours
from payment_service.events.store import insert_missed
from payment_service.mirror.registry import KINDS, guarding
from payment_service.observability import loggable
from payment_service.observability.metrics import DRIFT
from payment_service.reconcile import store
from payment_service.reconcile.absence import KIND, Absence
from payment_service.reconcile.schemas import readable
from payment_service.storage.cursors import drop_cursor, read_cursor, read_cursors, write_cursor
from payment_service.storage.ids import new_id
from payment_service.storage.mirror import reach_of
from payment_service.storage.recovery import MARK
from payment_service.stripe_api import calls
from payment_service.stripe_api.gateway import StripeRejected
from payment_service.stripe_api.objects import StripeUnreadable, id_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Row

    from payment_service.clock import Clock
    from payment_service.json_types import JsonObject
    from payment_service.mirror.kind import Kind
    from payment_service.reconcile.schemas import Report
    from payment_service.storage.database import Database
    from payment_service.stripe_api.call_budget import StripeBudget
    from payment_service.stripe_api.gateway import StripeGateway

CURSOR: Final = "reconcile.sweep"
"""Exists while a sweep is under way: the kind, the last object of it that was looked at, and the mark of the recovery
that it counts for (`storage/recovery.py`): one that was set before the sweep began."""
BEGINNING: Final = {"kind": next(iter(KINDS)), "after": None}

log = structlog.get_logger("payments")


class DriftSweep:
    """Walks over all objects of one account and mode."""

    def __init__(
        self, database: Database, gateway: StripeGateway, *, budget: StripeBudget, clock: Clock, livemode: bool
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._budget = budget
        self._clock = clock
        self._livemode = livemode

    async def begin(self) -> None:
        """Note that a sweep is under way, so that it is done even when this process ends."""
        async with self._database.read() as connection:
            found = await read_cursors(connection, CURSOR, MARK)
        if CURSOR not in found or (MARK in found and not counts(found[CURSOR], found[MARK])):
            async with self._database.transaction() as connection:
                await write_cursor(connection, CURSOR, BEGINNING, now=self._clock.now())

    async def is_under_way(self) -> bool:
        """Tell whether a sweep was begun and not finished."""
        async with self._database.read() as connection:
            return await read_cursor(connection, CURSOR) is not None

    async def run(self, report: Report, *, dry_run: bool, progress: Callable[[str], None]) -> None:
        """Sweep, from where an interrupted one was; each page is stored before the cursor moves."""
        async with self._database.read() as connection:
            found = await read_cursors(connection, CURSOR, MARK)
        position: dict[str, Any] = BEGINNING if dry_run else found.get(CURSOR, BEGINNING)
        after, seen = position["after"], position.get("seen")
        recovery = found.get(MARK, {}).get("id") if position == BEGINNING else position.get("recovery")
        for kind in list(KINDS)[list(KINDS).index(position["kind"]) :]:
            try:
                await self._sweep_kind(kind, after, report, dry_run=dry_run, recovery=recovery, seen=seen)
            except (StripeRejected, StripeMisconfigured, StripeUnreadable) as error:
                report.skipped.append(kind)
                recovery = None if kind in guarding() else recovery
                log.warning("sweep_skipped", kind=kind, error=error.code)
            after = seen = None
            progress(f"{kind}: {report.looked_at} looked at, {sum(report.drifted.values())} differ")
        if not dry_run:
            async with self._database.transaction() as connection:
                await drop_cursor(connection, CURSOR)
                mark = await read_cursor(connection, MARK, lock=True)
                if mark is not None and mark["id"] == recovery:
                    await write_cursor(connection, MARK, {**mark, "compared": True}, now=self._clock.now())

    async def _sweep_kind(
        self,
        name: str,
        after: str | None,
        report: Report,
        *,
        dry_run: bool,
        recovery: str | None,
        seen: float | None,
    ) -> None:
        kind = KINDS[name]
        if not kind.listed:
            if not dry_run:
                await self._distrust(name)
            return
        absence = Absence(self._database, self._gateway, budget=self._budget, livemode=self._livemode, seen=seen)
        while True:
            await self._budget.take()
            as_of = reach_of(self._clock)
            more = {"starting_after": after} if after else {}
            page = await calls.list_page(self._gateway, kind.collection, **kind.listing, **more)
            objects: list[JsonObject] = [{"livemode": self._livemode, **readable(obj)} for obj in page.objects]
            drifted = await self._differing(kind, objects)
            if name == KIND:
                drifted += await absence.deleted(objects, last=not page.has_more)
            report.add(looked_at=len(objects), drifted=Counter({name: len(drifted)}))
            after = page.last_id if objects else None
            if not dry_run:
                await self._bring(
                    name, drifted, as_of=as_of, position={"after": after, "recovery": recovery, "seen": absence.seen}
                )
            if not page.has_more:
                return

    async def _distrust(self, name: str) -> None:
        """Let lists of customers count only from now on."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await write_cursor(connection, f"{name}s.lists", {"since": now.isoformat()}, now=now)

    async def _differing(self, kind: Kind, objects: list[JsonObject]) -> list[JsonObject]:
        """Return the objects that differ from their rows and of which no event waits."""
        ids = [id_in(obj) for obj in objects]
        async with self._database.read() as connection:
            rows = await store.rows_of(connection, kind.table, kind.key, ids)
            coming = await store.on_their_way(connection, ids)
            gone = await of_deleted(connection, objects)
        return [
            obj
            for id_, obj in zip(ids, objects, strict=True)
            if id_ not in coming and _may_differ(kind, rows.get(id_), obj, erased=id_ in gone)
        ]

    async def _bring(self, kind: str, objects: list[JsonObject], *, as_of: int, position: dict[str, Any]) -> None:
        """Store an event for each object, and how far the sweep is, in one transaction."""
        now = self._clock.now()
        rows = [
            row_of_ours(kind, obj, event_id=new_id("rec"), as_of=as_of, livemode=self._livemode, now=now)
            for obj in objects
        ]
        async with self._database.transaction() as connection:
            await insert_missed(connection, rows)
            await write_cursor(connection, CURSOR, {"kind": kind, **position}, now=now)
        if rows:
            DRIFT.labels(kind).inc(len(rows))
            log.warning("objects_drifted", kind=kind, count=len(rows))


def counts(position: dict[str, Any], mark: dict[str, Any]) -> bool:
    """Tell whether a sweep that is so far began after this mark was set, or will."""
    return position == BEGINNING or position.get("recovery") == mark["id"]


def _may_differ(kind: Kind, row: Row[Any] | None, obj: JsonObject, *, erased: bool) -> bool:
    """Tell whether the object is to go through the inbox; one that cannot be compared is, and fails there alone."""
    try:
        return differs(kind, row, obj, erased=erased)
    except Exception as error:  # noqa: BLE001 - whatever is odd about one object must not end the sweep over the others
        log.warning("object_not_compared", object=loggable.object_id(id_in(obj)), error=type(error).__name__)
        return True


def differs(kind: Kind, row: Row[Any] | None, obj: JsonObject, *, erased: bool = False) -> bool:
    """Tell whether the row must change to be what Stripe says; of an erased customer beside its personal fields."""
    if row is None:
        return True
    stored = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    columns = kind.compared(obj, row)
    for name in kind.personal if erased else ():
        columns.pop(name, None)
    if kind.ended and stored[kind.ended.column] in kind.ended.values:
        ends = columns[kind.ended.column] in kind.ended.values
        return ends and any(stored[name] != value for name, value in columns.items())
    return any(stored[name] != value for name, value in columns.items())
