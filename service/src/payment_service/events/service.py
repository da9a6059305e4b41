"""Receives events: verifies, stores, wakes the worker."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.config.secrets import fingerprint
from payment_service.errors import InvalidSignature
from payment_service.events import store
from payment_service.events.insert_lane import InsertLane
from payment_service.events.rows import row_of
from payment_service.mirror.registry import label_of
from payment_service.observability import loggable
from payment_service.observability.metrics import EVENTS, WEBHOOKS_RECEIVED
from payment_service.storage.collisions import repeat_collided
from payment_service.storage.notifications import Notifier
from payment_service.stripe_api.signature import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.events.rows import EventRow
    from payment_service.storage.database import Database

log = structlog.get_logger("payments")

_ACCEPTED: Final = WEBHOOKS_RECEIVED.labels("accepted")


@lru_cache(maxsize=16)
def _fingerprint(secret: str, salt: str) -> str:
    return fingerprint(secret, salt=salt)


class Inbox:
    """Where Stripe's events arrive.

    Args:
        database: where they are stored.
        clock: the time.
        settings: the signing secrets and the mode.
        wake: called after a commit, so that a worker in this process need not wait for its next poll.

    Workers in other processes are notified.
    """

    def __init__(
        self, database: Database, *, clock: Clock, settings: Settings, wake: Callable[[], None] | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._wake = wake
        self._notifier = Notifier(database)
        self._lane = InsertLane(database) if database.dialect.takes_batches else None
        self.verified: dict[str, int] = {}
        """How many events each signing secret has verified, by fingerprint."""

    async def receive(self, body: bytes, signature: str | None) -> None:
        """Verify and commit one event; returning means that it will not be lost.

        What is signed is stored, also when it cannot be read: then it is dead at once, with the reason, where people
        see it. A refusal would be repeated by Stripe for three days and then be forgotten, and 400 is for a
        body that Stripe did not sign (docs.stripe.com/webhooks#retries).

        Raises:
            InvalidSignature: nothing was written.
        """
        try:
            secret = verify(
                body,
                signature,
                secrets=self._settings.stripe.webhook_secret.parts(),
                now=self._clock.timestamp(),
            )
        except InvalidSignature as error:
            WEBHOOKS_RECEIVED.labels(f"invalid_{error.extra['reason']}").inc()
            raise
        row = row_of(body, source="webhook", livemode=self._settings.stripe.livemode, now=self._clock.now())
        await self._insert(row)
        if row["state"] == "dead":
            WEBHOOKS_RECEIVED.labels("unreadable").inc()
            log.warning("webhook_unreadable", event_id=loggable.object_id(row["id"]), error=row["last_error"])
        elif row["state"] == "ignored":
            EVENTS.labels(label_of(row["type"]), "ignored").inc()
            said = {"event_id": loggable.object_id(row["id"]), "type": loggable.event_type(row["type"])}
            log.info("event_ignored", **said, reason=row["last_error"])
        self._count(secret)
        self.announce()

    def announce(self) -> None:
        """Tell the workers that there are new events."""
        if self._wake is not None:
            self._wake()
        self._notifier.notify()

    async def close(self) -> None:
        """End what runs in the background."""
        await self._notifier.close()

    async def _insert(self, row: EventRow) -> None:
        if self._lane is not None:
            await self._lane.insert(row)
            return

        async def insert() -> None:
            async with self._database.transaction() as connection:
                await store.insert_events(connection, [row])

        await repeat_collided(insert)

    def _count(self, secret: str) -> None:
        _ACCEPTED.inc()
        used = _fingerprint(secret, self._settings.fingerprint_salt)
        self.verified[used] = self.verified.get(used, 0) + 1
