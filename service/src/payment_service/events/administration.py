"""What people do with the inbox: look, retry, replay, discard.

Whatever changes something or shows a payload is audited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from payment_service.errors import Conflict, NotFound
from payment_service.events import inspection
from payment_service.events.schemas import DiscardRequest, EventList, EventView, ReplayRequest, ReplayResult
from payment_service.storage import audit_log
from payment_service.storage.tables import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.http.paging import Page
    from payment_service.storage.database import Database

RETRY: Final = "retry_event"
REPLAY: Final = "replay_events"
DISCARD: Final = "discard_event"
RESTORE: Final = "restore_event"


_PAST: Final = {"discard": "discarded", "restore": "restored"}


class InboxAdministration:
    """The inbox of one account and mode."""

    def __init__(self, database: Database, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._clock = clock
        self._livemode = livemode

    async def list(
        self,
        *,
        page: Page,
        state: str | None = None,
        kind: str | None = None,
        object_id: str | None = None,
    ) -> EventList:
        """Return a page of events, the last received first.

        Raises:
            Unprocessable: the page is to begin at no event.
        """
        async with self._database.read() as connection:
            rows, more = await inspection.list_page(connection, page=page, state=state, kind=kind, object_id=object_id)
        return EventList(data=[inspection.to_view(row) for row in rows], has_more=more)

    async def show(self, event_id: str, *, payload: bool, actor: str) -> EventView:
        """Return one event.

        Raises:
            NotFound: there is none with this id.
        """
        async with self._database.read() as connection:
            row = await inspection.get(connection, event_id)
        if row is None:
            raise _unknown(event_id)
        if payload:
            async with self._database.transaction() as connection:
                await self._audit(connection, actor=actor, action="show_payload", event_id=event_id)
        return inspection.to_view(row, payload=payload)

    async def retry(self, connection: AsyncConnection, event_id: str, *, actor: str) -> EventView:
        """Let a dead, ignored or waiting event be applied now.

        Raises:
            NotFound: there is none with this id.
            Conflict: it is applied already, discarded, or of the other mode.
        """
        row = await inspection.get(connection, event_id)
        if row is None:
            raise _unknown(event_id)
        if row.state == "applied":
            raise Conflict(f"The event {event_id} is applied; replay applies it again")
        if row.state == "discarded":
            raise Conflict(f"The event {event_id} is discarded; restore it first")
        if row.livemode != self._livemode:
            raise Conflict(f"The event {event_id} is of the other mode and is never applied here")
        await inspection.rearm(connection, events.c.id == event_id, now=self._clock.now())
        await self._audit(connection, actor=actor, action="retry", event_id=event_id, details={"state": row.state})
        fresh = await inspection.get(connection, event_id)
        assert fresh is not None
        return inspection.to_view(fresh)

    async def discard(
        self, connection: AsyncConnection, event_id: str, request: DiscardRequest, *, actor: str
    ) -> EventView:
        """Give up a dead event for good; its payload stays until its retention, and `restore` takes it back.

        Raises:
            NotFound: there is none with this id.
            Conflict: it is not dead.
        """
        done = await inspection.discard(connection, event_id, reason=request.reason)
        return await self._changed(
            connection, event_id, "discard", done=done, needs="dead", actor=actor, details={"reason": request.reason}
        )

    async def restore(self, connection: AsyncConnection, event_id: str, *, actor: str) -> EventView:
        """Make a discarded event dead again.

        Raises:
            NotFound: there is none with this id.
            Conflict: it is not discarded.
        """
        done = await inspection.restore(connection, event_id)
        return await self._changed(connection, event_id, "restore", done=done, needs="discarded", actor=actor)

    async def _changed(
        self,
        connection: AsyncConnection,
        event_id: str,
        action: str,
        *,
        done: bool,
        needs: str,
        actor: str,
        details: Mapping[str, object] | None = None,
    ) -> EventView:
        """Audit what was done, or say why it was not."""
        row = await inspection.get(connection, event_id)
        if row is None:
            raise _unknown(event_id)
        if not done:
            raise Conflict(f"The event {event_id} is {row.state}; only one that is {needs} can be {_PAST[action]}")
        await self._audit(connection, actor=actor, action=action, event_id=event_id, details=details)
        return inspection.to_view(row)

    async def replay(self, connection: AsyncConnection, request: ReplayRequest, *, actor: str) -> ReplayResult:
        """Apply settled events again; with `dry_run` only count them. What Stripe says now decides, as always."""
        conditions = inspection.chosen(request, livemode=self._livemode)
        by_type = await inspection.count_by_type(connection, *conditions)
        if not request.dry_run:
            await inspection.rearm(connection, *conditions, now=self._clock.now())
            details = {**msgspec.to_builtins(request), "count": sum(by_type.values())}
            await self._audit(connection, actor=actor, action="replay", event_id="*", details=details)
        return ReplayResult(count=sum(by_type.values()), by_type=by_type, dry_run=request.dry_run)

    async def _audit(
        self,
        connection: AsyncConnection,
        *,
        actor: str,
        action: str,
        event_id: str,
        details: Mapping[str, object] | None = None,
    ) -> None:
        await audit_log.record(
            connection,
            actor=actor,
            action=f"inbox.{action}",
            object_type="event",
            object_id=event_id,
            now=self._clock.now(),
            details=details,
        )


def _unknown(event_id: str) -> NotFound:
    return NotFound(f"There is no event {event_id} in the inbox")
