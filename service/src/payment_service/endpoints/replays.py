"""What people do with replays: count, ask for one, look, cancel. Each change is audited with who made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from payment_service.endpoints import replay_store, store
from payment_service.endpoints.errors import ReplayUnderWay
from payment_service.endpoints.filters import check_types, types_of_both
from payment_service.endpoints.replay_schemas import WebhookReplayList, WebhookReplayView
from payment_service.endpoints.rows import to_replay_view
from payment_service.errors import Conflict, NotFound
from payment_service.feed.filters import Filters
from payment_service.storage import audit_log
from payment_service.storage.ids import new_id

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.endpoints.replay_schemas import ReplayWebhooks
    from payment_service.endpoints.rows import EndpointRow, ReplayRow
    from payment_service.http.paging import Page
    from payment_service.storage.database import Database

OBJECT: Final = "webhook_replay"


class Plan(NamedTuple):
    """What a replay would look at."""

    first: int
    last: int
    events: int
    """As many at most."""


class WebhookReplays:
    """The replays of one mode."""

    def __init__(self, database: Database, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._clock = clock
        self._livemode = livemode

    async def request(
        self, connection: AsyncConnection, endpoint_id: str, asked: ReplayWebhooks, *, actor: str
    ) -> WebhookReplayView:
        """Have events sent again, or count them; the same asked while it runs goes on with what runs.

        Raises:
            NotFound: there is no endpoint with this id.
            Conflict: it is disabled.
            ReplayUnderWay: another replay to it runs.
            Unprocessable: there is no such type.
        """
        check_types(asked.event_types)
        plan = await self._plan(connection, await self._endpoint(connection, endpoint_id), asked)
        if asked.dry_run:
            return _dry(endpoint_id, asked, plan)
        row = await self._endpoint(connection, endpoint_id, lock=True)
        if not row.enabled:
            raise Conflict(f"The webhook endpoint {endpoint_id} is disabled; enable it first")
        running = await replay_store.running(connection, endpoint_id)
        if running is None:
            return await self._begin(connection, row, asked, plan, actor=actor)
        if not _is_part(running, asked):
            raise ReplayUnderWay(f"The replay {running.id} to {endpoint_id} runs; wait for it, or cancel it first")
        return await self.shown(connection, running.id)

    async def _begin(
        self, connection: AsyncConnection, row: EndpointRow, asked: ReplayWebhooks, plan: Plan, *, actor: str
    ) -> WebhookReplayView:
        now, replay_id = self._clock.now(), new_id("lpr")
        values = {
            "id": replay_id,
            "endpoint_id": row.id,
            "asked_since": asked.since,
            "asked_until": asked.until,
            "event_types": list(dict.fromkeys(asked.event_types)),
            "fresh_ids": asked.fresh_ids,
            "events": plan.events,
            "first_sequence": plan.first,
            "last_sequence": plan.last,
            "reached": plan.first - 1,
            "state": replay_store.RUNNING,
            "created_at": now,
        }
        await replay_store.add(connection, values)
        await store.prompt(connection, row.id, {"replay_id": replay_id, "due_at": now}, now=now)
        details = {"endpoint": row.id, "events": plan.events, "fresh_ids": asked.fresh_ids}
        await audit_log.record_verb(connection, OBJECT, replay_id, "create", actor=actor, now=now, details=details)
        return await self.shown(connection, replay_id)

    async def _plan(self, connection: AsyncConnection, row: EndpointRow, asked: ReplayWebhooks) -> Plan:
        """Return what would be looked at: nothing that was not looked at for the endpoint yet, for that is new."""
        found = await replay_store.places_between(connection, since=asked.since, until=asked.until, reached=row.reached)
        types = types_of_both(row.event_types, asked.event_types)
        if found is None or types is None:
            return Plan(row.reached + 1, row.reached, 0)
        first, last = found
        kinds = Filters(types=types).object_types
        return Plan(first, last, await replay_store.count(connection, first=first, last=last, object_types=kinds))

    async def get(self, replay_id: str) -> WebhookReplayView:
        """Return a replay.

        Raises:
            NotFound: there is none with this id, or it is kept no more.
        """
        async with self._database.read() as connection:
            return await self.shown(connection, replay_id)

    async def list(self, *, page: Page, endpoint_id: str | None = None) -> WebhookReplayList:
        """Return a page of replays.

        Raises:
            UnknownCursor: the page is to begin at no replay.
        """
        async with self._database.read() as connection:
            rows, more = await replay_store.list_page(
                connection, livemode=self._livemode, page=page, endpoint_id=endpoint_id
            )
            counts = await replay_store.counts(connection, [row.id for row in rows])
        return WebhookReplayList(data=[to_replay_view(row, counts[row.id]) for row in rows], has_more=more)

    async def cancel(self, connection: AsyncConnection, replay_id: str, *, actor: str) -> WebhookReplayView:
        """End a replay; what it has waiting is skipped.

        Raises:
            NotFound: there is none with this id.
            Conflict: it has ended.
        """
        now, before = self._clock.now(), await self.shown(connection, replay_id)
        # the endpoint before its replay and deliveries, as those do who send
        await store.prompt(connection, before.endpoint_id, {"due_at": now}, now=now)
        if not await replay_store.end(connection, replay_id, state="canceled", now=now):
            raise Conflict(f"The replay {replay_id} has ended")
        await replay_store.skip_waiting(connection, replay_id, now=now)
        await audit_log.record_verb(
            connection, OBJECT, replay_id, "cancel", actor=actor, now=now, details={"endpoint": before.endpoint_id}
        )
        return await self.shown(connection, replay_id)

    async def shown(self, connection: AsyncConnection, replay_id: str) -> WebhookReplayView:
        """Return a replay, within a transaction.

        Raises:
            NotFound: there is none with this id, or it is kept no more.
        """
        row = await replay_store.find(connection, replay_id, livemode=self._livemode)
        if row is None:
            raise NotFound(f"There is no replay {replay_id}, or it is no longer kept")
        return to_replay_view(row, (await replay_store.counts(connection, [row.id]))[row.id])

    async def _endpoint(self, connection: AsyncConnection, endpoint_id: str, *, lock: bool = False) -> EndpointRow:
        row = await store.find(connection, endpoint_id, livemode=self._livemode, lock=lock)
        if row is None:
            raise NotFound(f"There is no webhook endpoint {endpoint_id}")
        return row


def _is_part(running: ReplayRow, asked: ReplayWebhooks) -> bool:
    """Tell whether what is asked for is sent by a replay that runs: as when a command with `--since 7d` runs again."""
    same = set(running.event_types) == set(asked.event_types) and running.fresh_ids == asked.fresh_ids
    return same and running.asked_until == asked.until and running.asked_since <= asked.since


def _dry(endpoint_id: str, asked: ReplayWebhooks, plan: Plan) -> WebhookReplayView:
    return WebhookReplayView(
        id=None,
        endpoint_id=endpoint_id,
        state="dry_run",
        since=asked.since,
        until=asked.until,
        event_types=list(asked.event_types),
        fresh_ids=asked.fresh_ids,
        events=plan.events,
        looked_through=0.0,
        pending=0,
        delivered=0,
        failed=0,
        skipped=0,
        created_at=None,
        ended_at=None,
    )
