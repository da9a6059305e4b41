"""Ends the sending to an endpoint that wants nothing more, or to which nothing could be delivered for days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from payment_service.endpoints import store
from payment_service.feed.shapes import DISABLED
from payment_service.storage import audit_log
from payment_service.storage.mirror import write_outbox

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.endpoints.rows import EndpointRow
    from payment_service.endpoints.schemas import DisabledReason

ACTOR: Final = "worker:webhooks"
OBJECT: Final = "webhook_endpoint"


async def disable(connection: AsyncConnection, row: EndpointRow, *, reason: DisabledReason, now: datetime) -> None:
    """Disable an endpoint, in the caller's transaction: what waits for it stays, and an event tells others of it."""
    values = {"enabled": False, "disabled_reason": reason, "disabled_at": now}
    await store.change(connection, row.id, values, now=now)
    after = {"id": row.id, "reason": reason, "failing_since": row.failing_since}
    await write_outbox(
        connection, object_type=DISABLED, object_id=row.id, before=None, after=after, cause="other", now=now
    )
    await audit_log.record_verb(connection, OBJECT, row.id, "disable", actor=ACTOR, now=now, details={"reason": reason})
