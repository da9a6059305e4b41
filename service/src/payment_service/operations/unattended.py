"""Begins operations that nobody waits for: they are recorded, and a worker drives them when it looks next."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from payment_service.operations import store
from payment_service.operations.schemas import Asked, Begun, Operation
from payment_service.operations.state import Kind, State
from payment_service.storage.ids import new_id

if TYPE_CHECKING:
    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.operations.schemas import IdempotencyKey
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery

S = TypeVar("S", bound=State)


class Unattended:
    """Begins them.

    Args:
        database: where they are stored.
        clock: the time.
        recovery: whether something may be changed at Stripe.
        settings: how long keys are kept.
    """

    def __init__(self, database: Database, *, clock: Clock, recovery: Recovery, settings: WorkSettings) -> None:
        self._database = database
        self._clock = clock
        self._recovery = recovery
        self._settings = settings

    async def begin(self, kind: Kind[S], state: S, *, request: dict[str, object], key: IdempotencyKey) -> bool:
        """Record an operation whose lease is over already; False where the key has one.

        Args:
            kind: says which handler drives it.
            state: its first.
            request: what it is to do, in JSON types.
            key: names it; its principal is the one for whom it is done.

        Raises:
            Recovering: the database was restored and Stripe would be called.
        """
        lineage, now = await self._recovery.admit(), self._clock.now()
        expires_at = now + timedelta(hours=self._settings.idempotency_retention_hours)
        asked = Asked(
            id=new_id("lpo"),
            kind=kind.name,
            principal=key.principal,
            livemode=key.livemode,
            request=request,
            request_id=None,
            reference=key.operation_reference(lineage),
        )
        async with self._database.transaction() as connection:
            if not await store.claim_key(connection, key, operation_id=asked.id, now=now, expires_at=expires_at):
                return False
            operation = Operation.begin(asked, Begun(state), owner="")
            await store.insert_operation(connection, operation, now=now, lease_seconds=0)
        return True

    async def was_refused(self, key: IdempotencyKey) -> bool:
        """Tell whether the operation of a key has ended with an error."""
        async with self._database.read() as connection:
            row = await store.find_key(connection, key, lock=False)
        return row is not None and bool(row.finished) and row.response_status >= HTTPStatus.BAD_REQUEST
