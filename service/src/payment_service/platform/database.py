"""Connections to PostgreSQL (asyncpg) and, in development, SQLite.

The address is given to asyncpg as the user wrote it, so several hosts, `sslmode` and `sslrootcert` mean what they mean
to libpq (postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING). The default of `target_session_attrs` is
`read-write` here: of several hosts the writable one is used, also after a failover.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.engine.interfaces import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from payment_service.platform.secrets import Secret
    from payment_service.settings import DatabaseSettings

CONNECT_TIMEOUT_SECONDS: Final = 5.0
POOL_TIMEOUT_SECONDS: Final = 5.0
IDLE_IN_TRANSACTION_MILLISECONDS: Final = 30_000
SQLITE_BUSY_SECONDS: Final = 15.0

# SQLSTATE classes and codes that say "not now", not "wrong":
# connection exception, insufficient resources (disk full, too many connections), operator intervention (shutdown),
# system error, read-only transaction (a demoted primary).
_UNAVAILABLE_SQLSTATES: Final = ("08", "53", "57P", "58", "25006")
_SQLITE_UNAVAILABLE: Final = ("locked", "disk is full", "disk I/O", "readonly", "unable to open")


class Database:
    """One pool of connections.

    Args:
        engine: the SQLAlchemy engine. SQLite has one writer at a time; transactions of this process queue,
            because its own waiting polls and sleeps.
        replica: serves `read(may_lag=True)`; the engine itself when there is no replica.
    """

    def __init__(self, engine: AsyncEngine, *, replica: AsyncEngine | None = None) -> None:
        self.engine = engine
        self._replica = replica or engine
        self.dialect = engine.dialect.name
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
            settings.replica_url, settings=settings, application_name=application_name, any_host=True
        )
        return cls(engine, replica=replica)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits at the end of the block and rolls back when it raises."""
        async with self._writing, self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self, *, may_lag: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; with `may_lag` possibly of the replica.

        In PostgreSQL each statement stands alone: BEGIN and ROLLBACK around it would be two more round trips.
        """
        async with (self._replica if may_lag else self.engine).connect() as connection:
            yield await connection.execution_options(**self._reading)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        await self._replica.dispose()


def create_engine(
    url: Secret,
    *,
    settings: DatabaseSettings,
    application_name: str,
    any_host: bool = False,
    pool_size: int | None = None,
) -> AsyncEngine:
    """Create an engine for a PostgreSQL or SQLite address.

    The password is taken from `url` at each new connection, so that a rotated one is picked up.
    """
    address = url.reveal()
    if address.startswith("sqlite"):
        return _create_sqlite_engine(address)

    async def connect() -> asyncpg.Connection[Any]:
        return await asyncpg.connect(
            _plain_dsn(url.reveal()),
            timeout=CONNECT_TIMEOUT_SECONDS,
            target_session_attrs=SessionAttribute.any if any_host else SessionAttribute.read_write,
            server_settings={
                "application_name": application_name,
                "statement_timeout": str(int(settings.statement_timeout_seconds * 1000)),
                "lock_timeout": str(int(settings.lock_timeout_seconds * 1000)),
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MILLISECONDS),
            },
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size or settings.pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_use_lifo=True,
    )
    event.listen(engine.sync_engine, "handle_error", _discard_demoted)
    event.listen(engine.sync_engine, "checkout", _discard_closed)
    return engine


def _plain_dsn(url: str) -> str:
    """Drop SQLAlchemy's driver suffix: `postgresql+asyncpg://` becomes `postgresql://`."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


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
        f"sqlite+aiosqlite:///{path}", connect_args={"timeout": SQLITE_BUSY_SECONDS}, pool_timeout=POOL_TIMEOUT_SECONDS
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


def is_unavailable(error: BaseException) -> bool:
    """Tell whether `error` means that the database cannot serve now (answer 503), not that the request is wrong."""
    if isinstance(error, OSError | exc.TimeoutError | asyncpg.InterfaceError | TimeoutError):
        return True
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    if sqlstate(error).startswith(_UNAVAILABLE_SQLSTATES):
        return True
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.OperationalError):
        return any(part in str(original) for part in _SQLITE_UNAVAILABLE)
    return isinstance(error, exc.InterfaceError) or isinstance(original, OSError)
