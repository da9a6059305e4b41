"""Commits the steps of operations: each is one transaction, with its writes, its state and, at the end, the answer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from payment_service.operations import store
from payment_service.operations.auditing import record_outcome
from payment_service.operations.state import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from payment_service.clock import Clock
    from payment_service.config.settings import WorkSettings
    from payment_service.operations.schemas import Operation, StoredResponse
    from payment_service.storage.database import Database

S = TypeVar("S", bound=State)


class LeaseLost(Exception):
    """Another process drives the operation now; whatever this one wanted to write is not written."""


@dataclass(slots=True)
class Step(Generic[S]):
    """A step under way."""

    connection: AsyncConnection
    """In its transaction."""
    state: S
    """What the operation is to know afterwards."""
    response: StoredResponse | None = None
    """The answer; with one the operation is finished."""


class Steps:
    """Commits steps.

    Args:
        database: where operations are stored.
        clock: the time.
        settings: how long a lease is.
    """

    def __init__(self, database: Database, *, clock: Clock, settings: WorkSettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    @asynccontextmanager
    async def take(self, operation: Operation[S]) -> AsyncIterator[Step[S]]:
        """Let the block say the operation's next state or its answer, and commit that with the writes of the block.

        When it is not committed the operation stays as it was.

        Raises:
            LeaseLost: another process drives the operation.
        """
        async with self._database.transaction() as connection:
            step = Step(connection, copy(operation.state))
            yield step
            if step.response is not None:
                step.state.phase = "finished"
            await self._save(operation, step)
        operation.state, operation.response = step.state, step.response

    async def _save(self, operation: Operation[S], step: Step[S]) -> None:
        now, lease = self._clock.now(), self._settings.operation_lease_seconds
        if not await store.save(
            step.connection, operation, state=step.state, response=step.response, now=now, lease_seconds=lease
        ):
            raise LeaseLost(operation.id)
        if step.response is not None:
            await record_outcome(step.connection, operation, response=step.response, now=now)
