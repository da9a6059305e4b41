"""Removes what has been kept long enough."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from payment_service.operations import store

if TYPE_CHECKING:
    from datetime import datetime

    from payment_service.config.settings import WorkSettings
    from payment_service.storage.database import Database


async def remove_expired(database: Database, *, settings: WorkSettings, now: datetime, limit: int) -> None:
    """Remove idempotency keys, then finished operations, `limit` rows in each transaction.

    Operations stay as long as applied events do, for people to look at, and longer than any key.
    """
    keys_for = timedelta(hours=settings.idempotency_retention_hours)
    kept_for = max(timedelta(days=settings.event_retention_days), keys_for + timedelta(days=1))
    for remove, before in ((store.remove_expired_keys, now), (store.remove_operations, now - kept_for)):
        removed = limit
        while removed == limit:
            async with database.transaction() as connection:
                removed = await remove(connection, before=before, limit=limit)
