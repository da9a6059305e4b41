"""Operations: phases that are each committed, driven by one process at a time, completed by another after a crash.

A handler is a function from an operation to its next state: it may call Stripe, then commits what it learnt through
`Steps`. No Stripe call happens inside a transaction. A driver whose lease was taken over finds out at its next commit
(`fence`), so two drivers never both write.
"""

from __future__ import annotations

import asyncio
import os
import socket
from copy import copy
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

import structlog

from payment_service.errors import IdempotencyKeyInUse, PaymentsError, StripeKeySpent, TooManyInFlight
from payment_service.http.problems import problem_document
from payment_service.observability.metrics import OPERATIONS
from payment_service.operations import store, turns
from payment_service.operations.auditing import record_outcome
from payment_service.operations.retention import remove_expired
from payment_service.operations.schemas import Asked, IdempotencyKey, Operation, StoredResponse
from payment_service.operations.state import Kind, State
from payment_service.operations.steps import LeaseLost
from payment_service.storage.collisions import repeat_collided
from payment_service.storage.database import is_unavailable
from payment_service.storage.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.operations.schemas import Begun
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery

    Handler = Callable[[Operation[State]], Awaitable[None]]

S = TypeVar("S", bound=State)
log = structlog.get_logger("payments")

RESUME_AFTER_SECONDS: Final = 2.0
"""How soon an operation that met a passing fault may be tried again."""
MAXIMUM_RESUME_SECONDS: Final = 300.0
NEW_KEY_ATTEMPTS: Final = 3
"""After so many attempts, seconds apart, a fault that Stripe has saved is passed by with a new key."""
CLAIM_TRIES: Final = 3


def driver(kind: Kind[S], step: Callable[[Operation[S]], Awaitable[None]]) -> dict[str, Handler]:
    """Return what drives operations of a kind: `step` takes one from its phase to the next."""

    async def drive(operation: Operation[State]) -> None:
        operation.state = kind.read(operation.state)
        await step(cast("Operation[S]", operation))

    return {kind.name: drive}


class Operations:
    """Begins, drives and completes operations.

    Args:
        database: where they are stored.
        clock: the time.
        recovery: whether something may be changed at Stripe.
        settings: lease, retention.
        handlers: by kind, what drives an operation from its phase to the next (see `driver`).
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        recovery: Recovery,
        settings: WorkSettings,
        handlers: Mapping[str, Handler],
    ) -> None:
        self._database = database
        self._recovery = recovery
        self._clock = clock
        self._settings = settings
        self._handlers = handlers
        self._owner = f"{socket.gethostname()}-{os.getpid()}"

    async def run(
        self,
        kind: Kind[S],
        *,
        principal: str,
        livemode: bool,
        request: dict[str, object],
        request_id: str | None,
        key: IdempotencyKey | None,
        prepare: Callable[[AsyncConnection, Asked], Awaitable[Begun[S]]],
    ) -> StoredResponse:
        """Begin an operation and drive it to its answer; with a known key replay or resume instead.

        Args:
            kind: says which handler drives it.
            principal: who asks; survives a rotation of the API key.
            livemode: Stripe's mode.
            request: the validated request in JSON types.
            request_id: of the HTTP request.
            key: the idempotency key, if one was sent.
            prepare: makes the writes of the first transaction beside the operation's row, and returns its first state.

        Raises:
            PaymentsError: `Turns.busy`, where `prepare` calls `turns.take`.
            IdempotencyKeyReused: the key was used with another request.
            IdempotencyKeyInUse: the first request with the key still runs.
            Recovering: the database was restored and Stripe would be called.
            PaymentsError: passing faults (503, 504); the operation stays and is completed later.
        """
        driven = kind.name in self._handlers  # the others ask nothing of Stripe
        lineage = await self._recovery.admit() if driven else ""
        asked = Asked(
            id=new_id("lpo"),
            kind=kind.name,
            principal=principal,
            livemode=livemode,
            request=request,
            request_id=request_id,
            reference=key.operation_reference(lineage) if key is not None else "",
        )

        async def begin() -> tuple[Operation[State], bool]:
            async with self._database.transaction() as connection:
                earlier = None if key is None else await self._claim(connection, key, asked.id)
                operation = earlier or await self._begin(connection, asked, await prepare(connection, asked))
            return operation, earlier is not None and earlier.response is not None

        operation, replayed = await turns.wait(partial(repeat_collided, begin), finish=self._complete)
        return replace(await self.drive(operation), replayed=replayed)

    async def earlier(self, key: IdempotencyKey) -> StoredResponse | None:
        """Replay or resume the operation that the key belongs to; None when there is none yet.

        For routes that look something up before they begin: what has changed since then must not change the answer.

        Raises:
            As `run`.
        """
        now = self._clock.now()
        async with self._database.read() as connection:
            row = await store.find_key(connection, key, lock=False)
        if row is None or row.id is None or (row.expires_at <= now and row.finished):
            return None
        operation = store.known(key, row, now=now)
        if operation.response is not None:
            return replace(operation.response, replayed=True)
        await self._recovery.admit()

        async def take_over() -> Operation[State]:
            async with self._database.transaction() as connection:
                return await self._take_over(connection, operation)

        return await self.drive(await repeat_collided(take_over))

    async def _begin(self, connection: AsyncConnection, asked: Asked, begun: Begun[State]) -> Operation[State]:
        now, lease = self._clock.now(), self._settings.operation_lease_seconds
        operation = Operation.begin(asked, begun, owner=self._owner)
        await store.insert_operation(connection, operation, now=now, lease_seconds=lease)
        if operation.response is not None and operation.kind in self._handlers:  # other kinds tell of themselves
            await record_outcome(connection, operation, response=operation.response, now=now)
        return operation

    async def _claim(
        self, connection: AsyncConnection, key: IdempotencyKey, operation_id: str
    ) -> Operation[State] | None:
        """Bind the key to a new operation, or return the one that it belongs to, finished or taken over.

        An expired key is bound anew, but never while its operation is unfinished. Between two statements the key may
        be removed, or bound by another request; then the next look finds out.
        """
        now = self._clock.now()
        expires_at = now + timedelta(hours=self._settings.idempotency_retention_hours)
        for _ in range(CLAIM_TRIES):
            if await store.claim_key(connection, key, operation_id=operation_id, now=now, expires_at=expires_at):
                return None
            row = await store.find_key(connection, key, lock=True)
            if row is None:
                continue
            if row.expires_at <= now and row.finished is not False:
                await store.rebind_key(connection, key, operation_id=operation_id, now=now, expires_at=expires_at)
                return None
            if row.id is not None:
                known = store.known(key, row, now=now)
                return known if known.response is not None else await self._take_over(connection, known)
        raise IdempotencyKeyInUse("Another request with this Idempotency-Key began just now", retry_after=1)

    async def _take_over(self, connection: AsyncConnection, operation: Operation[State]) -> Operation[State]:
        now, lease = self._clock.now(), self._settings.operation_lease_seconds
        taken = await store.take(
            connection, operation.id, fence=operation.fence, owner=self._owner, now=now, lease_seconds=lease
        )
        if taken is None:
            raise IdempotencyKeyInUse("The first request with this Idempotency-Key still runs", retry_after=1)
        return taken

    async def drive(self, operation: Operation[State]) -> StoredResponse:
        """Call the operation's handler until there is an answer.

        Raises:
            PaymentsError: a passing fault; the lease is given back so that the operation can be resumed soon.
        """
        try:
            while operation.response is None:
                phase = operation.state.phase
                step = partial(self._handlers[operation.kind], operation)
                await repeat_collided(step, before_next=operation.count_attempt)
                OPERATIONS.labels(operation.kind, phase, "ok").inc()
        except LeaseLost as error:
            raise IdempotencyKeyInUse("Another process completes this operation", retry_after=1) from error
        except asyncio.CancelledError as error:  # the process stops
            await asyncio.shield(self._give_back(operation, error))
            raise
        except Exception as error:
            await self._give_back(operation, error)
            if isinstance(error, PaymentsError):
                error.extra.setdefault("operation_id", operation.id)
            raise
        return operation.response

    async def _give_back(self, operation: Operation[State], error: BaseException) -> None:
        """Shorten the lease after a fault; when no connection can be had the old one expires by itself."""
        code = error.code if isinstance(error, PaymentsError) else type(error).__name__
        OPERATIONS.labels(operation.kind, operation.state.phase, code).inc()
        wait = min(MAXIMUM_RESUME_SECONDS, RESUME_AFTER_SECONDS * 2 ** min(operation.attempts - 1, 10))
        log.warning("operation_interrupted", operation=operation.id, phase=operation.state.phase, code=code)
        state = copy(operation.state)
        if isinstance(error, StripeKeySpent) and operation.attempts >= NEW_KEY_ATTEMPTS:
            state.tries += 1
        try:
            async with self._database.transaction() as connection:
                until = self._clock.now() + timedelta(seconds=wait)
                await store.release(connection, operation, facts=state.facts(), until=until, error=code)
        except Exception as failure:
            if not (is_unavailable(failure) or isinstance(failure, TooManyInFlight)):
                raise

    async def complete_expired(self, *, limit: int = 10) -> int:
        """Take over and complete operations whose driver is gone; return how many reached their answer.

        Kinds that only a newer version knows are left to it. One operation that fails holds up no other.
        """
        if (await self._recovery.state()).mark is not None:
            return 0
        now, kinds = self._clock.now(), tuple(self._handlers)
        async with self._database.read() as connection:
            candidates = await store.expired(connection, now=now, kinds=kinds, limit=limit)
        return sum(await asyncio.gather(*(self._complete(operation_id, fence) for operation_id, fence in candidates)))

    async def _complete(self, operation_id: str, fence: int) -> bool:
        lease = self._settings.operation_lease_seconds
        try:
            async with self._database.transaction() as connection:
                operation = await store.take(
                    connection, operation_id, fence=fence, owner=self._owner, now=self._clock.now(), lease_seconds=lease
                )
            if operation is None:
                return False
            response = await self.drive(operation)
        except PaymentsError:
            return False
        except Exception as error:
            known = is_unavailable(error)
            log.warning("operation_not_completed", operation=operation_id, exc_info=None if known else error)
            return False
        log.info("operation_completed", operation=operation.id, kind=operation.kind, status=response.status)
        return True

    async def remove_expired(self, *, limit: int) -> None:
        """Remove what is past its retention, `limit` rows in each transaction."""
        await remove_expired(self._database, settings=self._settings, now=self._clock.now(), limit=limit)


def refusal(error: PaymentsError, asked: Asked) -> StoredResponse:
    """Turn an error that is the operation's final answer into the response to store."""
    content = problem_document(error, request_id=asked.request_id)
    stored = StoredResponse.of(error.status, content, content_type="application/problem+json")
    return replace(stored, retry_after=error.retry_after)
