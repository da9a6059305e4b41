"""Connections to PostgreSQL (asyncpg) and, in development, SQLite.

Of several hosts the one that takes writes is used, also after a failover (`storage/connector.py`).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from payment_service.observability.metrics import DATABASE_ERRORS
from payment_service.shares import Shares
from payment_service.storage.changed_rows import Change, collect
from payment_service.storage.connector import Connector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.engine.interfaces import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.shares import Share

POOL_TIMEOUT_SECONDS: Final = 5.0
REPLICA_PAUSE_SECONDS: Final = 5.0
"""How long a replica that could not be reached is left alone; the primary serves meanwhile."""
SQLITE_BUSY_SECONDS: Final = 15.0

# SQLSTATE classes and codes that say "not now", not "wrong":
# connection exception, insufficient resources (disk full, too many connections), operator intervention (shutdown),
# system error, read-only transaction (a demoted primary), rolled back for the sake of another transaction, lock not
# available in time, statement not ended in time.
_UNAVAILABLE_SQLSTATES: Final = ("08", "53", "57P", "58", "25006", "40", "55P03", "57014")
_BUSY_SQLSTATES: Final = frozenset({"57014", "55P03", "40001", "40P01"})
_SQLITE_UNAVAILABLE: Final = ("locked", "disk is full", "disk I/O", "readonly", "unable to open")


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
        engine: the SQLAlchemy engine. SQLite has one writer at a time; transactions of this process queue,
            because its own waiting polls and sleeps.
        replica: serves `read(may_lag=True)`; while it cannot be reached, or is None, the engine itself does.
    """

    def __init__(self, engine: AsyncEngine, *, replica: AsyncEngine | None = None) -> None:
        self.engine = engine
        self._replica = replica
        self._shares, self._replica_shares = _shares(engine), _shares(replica)
        self._replica_away_until = float("-inf")
        self.dialect = engine.dialect.name
        self.on_change: Callable[[set[Change]], None] = _publish_nothing
        """Called after each commit with the rows that it changed."""
        self._reading = {"isolation_level": "AUTOCOMMIT"} if self.dialect == "postgresql" else {"reading": True}
        self._writing: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if self.dialect == "sqlite" else nullcontext()
        )

    @classmethod
    def from_settings(cls, settings: DatabaseSettings, *, application_name: str = "payments") -> Database:
        """Build the pool that `settings` describe; nothing connects yet."""
        engine = create_engine(settings.url, settings=settings, application_name=application_name)
        if not settings.replica_url:
            return cls(engine)
        replica = create_engine(
            settings.replica_url, settings=settings, application_name=application_name, replica=True
        )
        return cls(engine, replica=replica)

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
        if changed:
            self.on_change(changed)

    @asynccontextmanager
    async def read(self, *, may_lag: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; with `may_lag` possibly of the replica.

        In PostgreSQL each statement stands alone: BEGIN and ROLLBACK around it would be two more round trips.
        """
        async with AsyncExitStack() as stack:
            connection = await self._connect_replica(stack) if may_lag else None
            if connection is None:
                connection = await stack.enter_async_context(self.connect())
            yield await connection.execution_options(**self._reading)

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
    """Return the shares of a pool; SQLite's, where nobody waits for a connection, has enough for all."""
    pool = engine.sync_engine.pool if engine is not None and engine.dialect.name == "postgresql" else None
    return Shares(pool.size() if isinstance(pool, QueuePool) else sys.maxsize)


def _publish_nothing(_changed: set[Change]) -> None:
    """Stand in until a cache wants to know."""


def create_engine(
    url: Secret,
    *,
    settings: DatabaseSettings,
    application_name: str,
    replica: bool = False,
    pool_size: int | None = None,
) -> AsyncEngine:
    """Create an engine for a PostgreSQL or SQLite address; `replica` takes a standby if there is one."""
    address = url.reveal()
    if address.startswith("sqlite"):
        return _create_sqlite_engine(address)

    connector = Connector(url, settings=settings, application_name=application_name, replica=replica)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connector.connect,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size or settings.pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,  # an error would quote the addresses of people
    )
    event.listen(engine.sync_engine, "handle_error", _discard_demoted)
    event.listen(engine.sync_engine, "checkout", _discard_closed)
    return engine


async def connect(url: Secret, *, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection[Any]:
    """Open a connection to PostgreSQL outside of any pool, to the host that takes writes."""
    return await Connector(url, settings=settings, application_name=application_name).connect()


def _discard_demoted(context: ExceptionContext) -> None:
    """Treat a connection to a server that has become read-only as lost, so that the pool finds the new primary."""
    if isinstance(context.original_exception, Exception) and sqlstate(context.original_exception) == "25006":
        context.is_disconnect = True


def _discard_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool connect anew instead of handing out a closed connection; asks the server nothing."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError


def _create_sqlite_engine(url: str) -> AsyncEngine:
    path = url.partition(":///")[2]
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        connect_args={"timeout": SQLITE_BUSY_SECONDS},
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        """Take the write lock at once: a transaction that reads first and writes later could not get it any more."""
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a driver's or SQLAlchemy's error, or an empty string."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlstate", None) or getattr(original.__cause__, "sqlstate", None)
    return code if isinstance(code, str) else ""


def is_refused_value(error: BaseException) -> bool:
    """Tell whether the database can never hold a value: a data exception, or beyond a limit of the program's.

    Classes 22 and 54 (postgresql.org/docs/current/errcodes-appendix.html).
    """
    return sqlstate(error).startswith(("22", "54"))


def is_busy(error: BaseException) -> bool:
    """Tell whether a statement or a lock took too long, or two transactions collided: trying again may help."""
    return sqlstate(error) in _BUSY_SQLSTATES


def _is_driver_failure(error: BaseException | None) -> bool:
    """Tell whether asyncpg could not use its connection, by whichever of its two trees says so.

    `InternalClientError` is what a statement meets between the server's last words (57P01) and the closed socket.
    An `InterfaceError` that is a `ValueError` is about the values: trying again cannot help.
    """
    failures = asyncpg.InterfaceError | asyncpg.InternalClientError
    return isinstance(error, failures) and not isinstance(error, ValueError)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether `error` means that the database cannot serve now (answer 503), not that the request is wrong."""
    if isinstance(error, OSError | exc.TimeoutError | TimeoutError) or _is_driver_failure(error):
        return True
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    if sqlstate(error).startswith(_UNAVAILABLE_SQLSTATES):
        return True
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.OperationalError):
        return any(part in str(original) for part in _SQLITE_UNAVAILABLE)
    return isinstance(original, OSError) or _is_driver_failure(getattr(original, "__cause__", None))
