"""What people do with deliveries: look, try again, skip. Each change is audited with who made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.endpoints import queue, store
from payment_service.endpoints.rows import to_delivery_view
from payment_service.endpoints.schemas import WebhookDeliveryList, WebhookDeliveryView
from payment_service.endpoints.testing import TEST, check_room
from payment_service.errors import Conflict, NotFound
from payment_service.storage import audit_log
from payment_service.storage.webhook_tables import PENDING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.http.paging import Page
    from payment_service.storage.database import Database

OBJECT: Final = "webhook_delivery"


class WebhookDeliveries:
    """The deliveries of one mode."""

    def __init__(self, database: Database, *, clock: Clock, livemode: bool) -> None:
        self._database = database
        self._clock = clock
        self._livemode = livemode

    async def list(
        self,
        *,
        page: Page,
        endpoint_id: str | None = None,
        state: str | None = None,
        object_id: str | None = None,
    ) -> WebhookDeliveryList:
        """Return a page of deliveries.

        Raises:
            UnknownCursor: the page is to begin at no delivery.
        """
        wanted = {"endpoint_id": endpoint_id, "state": state, "object_id": object_id}
        async with self._database.read() as connection:
            rows, more = await queue.list_page(connection, livemode=self._livemode, page=page, wanted=wanted)
        return WebhookDeliveryList(data=[to_delivery_view(row) for row in rows], has_more=more)

    async def get(self, delivery_id: str) -> WebhookDeliveryView:
        """Return a delivery.

        Raises:
            NotFound: there is none with this id, or it is kept no more.
        """
        async with self._database.read() as connection:
            return await self.shown(connection, delivery_id)

    async def retry(self, connection: AsyncConnection, delivery_id: str, *, actor: str) -> WebhookDeliveryView:
        """Have a delivery tried soon that is pending, failed or skipped; it goes before later ones about its object.

        Raises:
            NotFound: there is none with this id.
            Conflict: it is delivered.
            TooManyTests: it is a test, of which as many wait for the endpoint as may.
        """
        now, before = self._clock.now(), await self.shown(connection, delivery_id)
        if before.event_type == TEST and before.state != PENDING:
            await store.find(connection, before.endpoint_id, livemode=self._livemode, lock=True)
            await check_room(connection, before.endpoint_id)
        values = {"state": PENDING, "due_at": now, "settled_at": None, "attempts": 0}
        values["replay_id"] = await self._replay_of(connection, before)
        return await self._move(
            connection, delivery_id, "retry", among=(PENDING, "failed", "skipped"), values=values, now=now, actor=actor
        )

    async def skip(self, connection: AsyncConnection, delivery_id: str, *, actor: str) -> WebhookDeliveryView:
        """Give up a pending delivery, so that those about the same object that wait for it go on.

        Raises:
            NotFound: there is none with this id.
            Conflict: it is not pending.
        """
        now = self._clock.now()
        values = {"state": "skipped", "settled_at": now}
        return await self._move(connection, delivery_id, "skip", among=(PENDING,), values=values, now=now, actor=actor)

    async def _replay_of(self, connection: AsyncConnection, delivery: WebhookDeliveryView) -> str | None:
        """Return the replay that a delivery waits with: of one that has ended it waits as others do."""
        row = await store.find(connection, delivery.endpoint_id, livemode=self._livemode, lock=True)
        return None if row is None or row.replay_id != delivery.replay_id else row.replay_id

    async def _move(
        self,
        connection: AsyncConnection,
        delivery_id: str,
        verb: str,
        *,
        among: tuple[str, ...],
        values: Mapping[str, object],
        now: datetime,
        actor: str,
    ) -> WebhookDeliveryView:
        before = await self.shown(connection, delivery_id)
        # the endpoint before its delivery, as those do who send
        await store.prompt(connection, before.endpoint_id, {"due_at": now, "resume_at": now}, now=now)
        if not await queue.move(connection, delivery_id, among=among, values=values):
            raise Conflict(f"The delivery {delivery_id} is {before.state}; {verb} takes {', '.join(among)}")
        details = {"endpoint": before.endpoint_id, "event": before.event_id, "state": before.state}
        await audit_log.record_verb(connection, OBJECT, delivery_id, verb, actor=actor, now=now, details=details)
        return await self.shown(connection, delivery_id)

    async def shown(self, connection: AsyncConnection, delivery_id: str) -> WebhookDeliveryView:
        """Return a delivery, within a transaction.

        Raises:
            NotFound: there is none with this id, or it is kept no more.
        """
        row = await queue.find(connection, delivery_id, livemode=self._livemode)
        if row is None:
            raise NotFound(f"There is no webhook delivery {delivery_id}, or it is no longer kept")
        return to_delivery_view(row)
