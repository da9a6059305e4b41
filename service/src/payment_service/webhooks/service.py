"""Receives events: verifies, stores, wakes the worker."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from payment_service.errors import BadRequest, InvalidSignature
from payment_service.platform.metrics import WEBHOOKS_RECEIVED
from payment_service.platform.notifications import Notifier
from payment_service.platform.secrets import fingerprint
from payment_service.webhooks import store
from payment_service.webhooks.lane import InsertLane
from payment_service.webhooks.schemas import envelope_decoder
from payment_service.webhooks.signature import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from payment_service.platform.clock import Clock
    from payment_service.platform.database import Database
    from payment_service.settings import Settings

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
        self._lane = InsertLane(database) if database.dialect == "postgresql" else None
        self.verified: dict[str, int] = {}
        """How many events each signing secret has verified, by fingerprint."""

    async def receive(self, body: bytes, signature: str | None) -> None:
        """Verify and commit one event; returning means that it will not be lost.

        Raises:
            InvalidSignature: nothing was written.
            BadRequest: signed, but not an event.
        """
        try:
            secret = verify(
                body,
                signature,
                secrets=self._settings.stripe.webhook_secret.parts(),
                now=self._clock.timestamp(),
            )
            event = envelope_decoder.decode(body)
        except InvalidSignature as error:
            WEBHOOKS_RECEIVED.labels(f"invalid_{error.extra['reason']}").inc()
            raise
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            WEBHOOKS_RECEIVED.labels("malformed").inc()
            raise BadRequest("The body is not a Stripe event") from error
        row = store.row_values(
            event,
            body,
            source="webhook",
            livemode=self._settings.stripe.livemode,
            now=self._clock.now(),
        )
        await self._insert(row)
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

    async def _insert(self, row: dict[str, Any]) -> None:
        if self._lane is not None:
            await self._lane.insert(row)
            return
        async with self._database.transaction() as connection:
            await store.insert_events(connection, [row])

    def _count(self, secret: str) -> None:
        _ACCEPTED.inc()
        mark = _fingerprint(secret, self._settings.fingerprint_salt)
        self.verified[mark] = self.verified.get(mark, 0) + 1
