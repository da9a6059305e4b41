"""Lists every object of Stripe's and compares it with its row: for gaps longer than Stripe keeps events.

What differs goes into the inbox as an event of ours that shows the object, and is applied as any other. Objects deleted
at Stripe are in no list, so a deletion in such a gap stays unseen until something else tells of it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from payment_service.errors import StripeMisconfigured
from payment_service.platform import stripe_calls
from payment_service.platform.ids import new_id
from payment_service.platform.metrics import DRIFT
from payment_service.platform.stripe_gateway import API_VERSION, StripeRejected
from payment_service.reconcile import store
from payment_service.webhooks.application import TARGETS, Target
from payment_service.webhooks.applying import CLOCK_SECONDS
from payment_service.webhooks.schemas import EventEnvelope
from payment_service.webhooks.store import insert_missed, row_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Row

    from payment_service.platform.budget import StripeBudget
    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.platform.stripe_gateway import StripeGateway
    from payment_service.reconcile.schemas import Report

CURSOR: Final = "reconcile.sweep"
"""Exists while a sweep is under way: the kind, and the last object of it that was looked at."""
KINDS: Final = tuple(TARGETS)
BEGINNING: Final = {"kind": KINDS[0], "after": None}

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
        if not await self.is_under_way():
            async with self._database.transaction() as connection:
                await store.write_cursor(connection, CURSOR, BEGINNING, now=self._clock.now())

    async def is_under_way(self) -> bool:
        """Tell whether a sweep was begun and not finished."""
        async with self._database.read() as connection:
            return await store.read_cursor(connection, CURSOR) is not None

    async def run(self, report: Report, *, dry_run: bool, progress: Callable[[str], None]) -> None:
        """Sweep, from where an interrupted one was; each page is stored before the cursor moves."""
        async with self._database.read() as connection:
            place = None if dry_run else await store.read_cursor(connection, CURSOR)
        first = place["kind"] if place else KINDS[0]
        after = place["after"] if place else None
        for kind in KINDS[KINDS.index(first) :]:
            try:
                await self._sweep_kind(kind, after, report, dry_run=dry_run)
            except (StripeRejected, StripeMisconfigured) as error:
                report.skipped.append(kind)
                log.warning("sweep_skipped", kind=kind, error=error.code)
            after = None
            progress(f"{kind}: {report.looked_at} looked at, {sum(report.drifted.values())} differ")
        if not dry_run:
            async with self._database.transaction() as connection:
                await store.drop_cursor(connection, CURSOR)

    async def _sweep_kind(self, kind: str, after: str | None, report: Report, *, dry_run: bool) -> None:
        target = TARGETS[kind]
        while True:
            await self._budget.take()
            as_of = int(self._clock.timestamp()) + CLOCK_SECONDS
            more = {"starting_after": after} if after else {}
            page = await stripe_calls.list_page(self._gateway, target.collection, **target.listing, **more)
            objects = [{"livemode": self._livemode, **obj} for obj in page["data"]]
            drifted = await self._differing(target, objects)
            report.add(looked_at=len(objects), drifted=Counter({kind: len(drifted)}))
            after = objects[-1]["id"] if objects else None
            if not dry_run:
                await self._bring(kind, drifted, as_of=as_of, after=after)
            if not page["has_more"]:
                return

    async def _differing(self, target: Target, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the objects that differ from their rows and of which no event waits."""
        ids = [obj["id"] for obj in objects]
        async with self._database.read() as connection:
            rows = await store.rows_of(connection, target.table, target.key, ids)
            coming = await store.on_their_way(connection, ids)
        return [obj for obj in objects if obj["id"] not in coming and differs(target, rows.get(obj["id"]), obj)]

    async def _bring(self, kind: str, objects: list[dict[str, Any]], *, as_of: int, after: str | None) -> None:
        """Store an event for each object, and how far the sweep is, in one transaction."""
        now = self._clock.now()
        rows = [
            row_values(
                msgspec.convert(event, EventEnvelope),
                msgspec.json.encode(event),
                source="reconcile",
                livemode=self._livemode,
                now=now,
            )
            for event in (self._event(kind, obj, as_of=as_of) for obj in objects)
        ]
        async with self._database.transaction() as connection:
            await insert_missed(connection, rows)
            await store.write_cursor(connection, CURSOR, {"kind": kind, "after": after}, now=now)
        if rows:
            DRIFT.labels(kind).inc(len(rows))
            log.warning("objects_drifted", kind=kind, count=len(rows))

    def _event(self, kind: str, obj: dict[str, Any], *, as_of: int) -> dict[str, Any]:
        return {
            "id": new_id("rec"),
            "object": "event",
            "api_version": API_VERSION,
            "created": as_of,
            "livemode": self._livemode,
            "type": f"reconcile.{kind}",
            "data": {"object": obj},
        }


def differs(target: Target, row: Row[Any] | None, obj: dict[str, Any]) -> bool:
    """Tell whether the row must change to be what Stripe says."""
    if row is None:
        return True
    stored = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for the row as a mapping
    columns = target.columns(obj)
    if obj.get("items", {}).get("has_more"):
        columns.pop("items")
    if target.ended and stored[target.ended.column] in target.ended.values:
        ends = columns[target.ended.column] in target.ended.values
        return ends and any(stored[name] != value for name, value in columns.items())
    return any(stored[name] != value for name, value in columns.items())
