"""Connections to the database: its pool, its replica, and what its errors mean to those who ask."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from sqlalchemy import exc
from sqlalchemy.pool import QueuePool

from payment_service.observability.metrics import DATABASE_ERRORS
from payment_service.shares import Shares
from payment_service.storage import dialects
from payment_service.storage.changed_rows import Change, collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from payment_service.caching.redis import RedisClient
    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.shares import Share

REPLICA_PAUSE_SECONDS: Final = 5.0
"""How long a replica that could not be reached is left alone; the primary serves meanwhile."""


class _Transaction:
    """Told apart from the context that it was opened in: tasks begun inside keep that context when it has ended."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = True


_around: ContextVar[tuple[_Transaction, ...]] = ContextVar("transactions around this code", default=())


def in_transaction() -> bool:
    """Tell whether this code, or what called it, holds a transaction open."""
    return any(one.open for one in _around.get())


class Database:
    """One pool of connections.

    Args:
        engine: the SQLAlchemy engine. Where there is one writer at a time, transactions of this process queue,
            because the database's own waiting polls and sleeps.
        replica: serves `read(may_lag=True)`; while it cannot be reached, or is None, the engine itself does.
        on_change: called after each commit with the rows that it changed.
        bell: the Redis that tells other processes what a database without notifications cannot; None: nobody does.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        replica: AsyncEngine | None = None,
        on_change: Callable[[set[Change]], None] | None = None,
        bell: RedisClient | None = None,
    ) -> None:
        self.engine = engine
        self.bell = bell
        self._replica = replica
        self._shares, self._replica_shares = _shares(engine), _shares(replica)
        self._replica_away_until = float("-inf")
        self.dialect = dialects.named(engine.dialect.name)
        self._on_change = on_change
        self._writing: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if self.dialect.has_one_writer else nullcontext()
        )

    @classmethod
    def from_settings(
        cls,
        settings: DatabaseSettings,
        *,
        application_name: str = "payments",
        on_change: Callable[[set[Change]], None] | None = None,
        bell: RedisClient | None = None,
    ) -> Database:
        """Build the pool that `settings` describe; nothing connects yet."""
        engine = create_engine(settings.url, settings=settings, application_name=application_name)
        if not settings.replica_url:
            return cls(engine, on_change=on_change, bell=bell)
        replica = create_engine(
            settings.replica_url, settings=settings, application_name=application_name, replica=True
        )
        return cls(engine, replica=replica, on_change=on_change, bell=bell)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits at the end of the block and rolls back when it raises."""
        async with self._writing, self._shares.one(), self.engine.begin() as connection:
            changed = collect(connection)
            outer, mine = _around.get(), _Transaction()
            _around.set((*outer, mine))
            try:
                yield connection
            finally:
                mine.open = False
                _around.set(outer)
        if changed and self._on_change is not None:
            self._on_change(changed)

    @asynccontextmanager
    async def read(self, *, may_lag: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; with `may_lag` possibly of the replica."""
        async with AsyncExitStack() as stack:
            connection = await self._connect_replica(stack) if may_lag else None
            if connection is None:
                connection = await stack.enter_async_context(self.connect())
            yield await connection.execution_options(**self.dialect.reading)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection as it comes from the pool, within the share of the caller whom it is for."""
        async with self._shares.one(), self.engine.connect() as connection:
            yield connection

    def share(self) -> Share:
        """Return the right to a connection, for those who let another task use it."""
        return self._shares.one()

    async def _connect_replica(self, stack: AsyncExitStack) -> AsyncConnection | None:
        """Return a connection to the replica; None when there is none, or while it cannot be reached."""
        if self._replica is None or time.monotonic() < self._replica_away_until:
            return None
        async with AsyncExitStack() as trying:
            await trying.enter_async_context(self._replica_shares.one())
            try:
                connection = await trying.enter_async_context(self._replica.connect())
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._replica_away_until = time.monotonic() + REPLICA_PAUSE_SECONDS
                DATABASE_ERRORS.labels("replica").inc()
                return None
            stack.push_async_exit(trying.pop_all())
            return connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        if self._replica is not None:
            await self._replica.dispose()


def _shares(engine: AsyncEngine | None) -> Shares:
    """Return the shares of a pool; where nobody waits for a connection, there are enough for all."""
    pool = engine.sync_engine.pool if engine is not None and dialects.named(engine.dialect.name).is_server else None
    return Shares(pool.size() if isinstance(pool, QueuePool) else sys.maxsize)


def create_engine(
    url: Secret,
    *,
    settings: DatabaseSettings,
    application_name: str,
    replica: bool = False,
    pool_size: int | None = None,
) -> AsyncEngine:
    """Create an engine for an address; `replica` takes a standby if there is one.

    Raises:
        UnsupportedDatabase: no database has such addresses.
    """
    return dialects.of_url(url.reveal()).create_engine(
        url, settings=settings, application_name=application_name, replica=replica, pool_size=pool_size
    )


def is_refused_value(error: BaseException) -> bool:
    """Tell whether the database can never hold a value: a data exception, or beyond a limit of the program's."""
    return any(dialect.is_refused_value(error) for dialect in dialects.DIALECTS)


def is_busy(error: BaseException) -> bool:
    """Tell whether a statement or a lock took too long, or two transactions collided: trying again may help."""
    return any(dialect.is_busy(error) for dialect in dialects.DIALECTS)


def is_collision(error: BaseException) -> bool:
    """Tell whether a whole transaction was rolled back for the sake of another, which then could go on."""
    return any(dialect.is_collision(error) for dialect in dialects.DIALECTS)


def is_lock_timeout(error: BaseException) -> bool:
    """Tell whether a statement gave up waiting for a lock."""
    return any(dialect.is_lock_timeout(error) for dialect in dialects.DIALECTS)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether `error` means that the database cannot serve now (answer 503), not that the request is wrong."""
    if isinstance(error, OSError | exc.TimeoutError | TimeoutError):
        return True
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(getattr(error, "orig", None), OSError):
        return True
    return any(dialect.is_unavailable(error) for dialect in dialects.DIALECTS)
