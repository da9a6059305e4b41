"""PostgreSQL, by asyncpg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event, exc, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from payment_service.storage.dialects import servers
from payment_service.storage.dialects.on_conflict import OnConflict
from payment_service.storage.dialects.postgresql_batches import PostgreSQLBatches
from payment_service.storage.dialects.postgresql_connector import Connector
from payment_service.storage.dialects.postgresql_failures import READ_ONLY, PostgreSQLFailures
from payment_service.storage.dialects.sqlstate import sqlstate
from payment_service.storage.expressions import Among, HasMember, ShareMember, TakesLock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import asyncpg
    from sqlalchemy import Executable, Table
    from sqlalchemy.engine.interfaces import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.sql.compiler import SQLCompiler

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.dialects.interface import Look
    from payment_service.storage.statements import Upsert

NAME: Final = "postgresql"
CHECK_TIMEOUT_SECONDS: Final = 5.0
_PLACE: Final = text(
    "SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system,"
    " (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database,"
    " CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline"
)
_TAKE_LOCK: Final = text("SELECT pg_try_advisory_lock(:key)")
_WRITERS: Final = text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = to_regclass(:name)"
)
"""A statement that writes takes this lock before it does anything else, a sequence's next value included, and its
transaction gives it back after the commit can be seen (postgresql.org/docs/current/explicit-locking.html)."""
_DRIVER: Final = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's own is not typed


class PostgreSQL(PostgreSQLFailures, PostgreSQLBatches, OnConflict):
    """One server, or a primary with standbys."""

    name = NAME
    title = "PostgreSQL"
    schemes = frozenset({"postgresql", "postgres"})
    is_server = True
    has_roles = True
    has_one_writer = False
    keeps_time_zones = True
    has_partial_indexes = True
    rolls_back_tables = True
    notifies = True
    takes_batches = True
    reading: Final[Mapping[str, Any]] = {"isolation_level": "AUTOCOMMIT"}
    """Each statement stands alone: BEGIN and ROLLBACK around it would be two more round trips."""
    place = _PLACE

    def __init__(self) -> None:
        super().__init__(postgresql.insert)
        self._batches: dict[Upsert, str] = {}

    def misread(self, url: str) -> str:  # noqa: ARG002 - the interface's signature
        """Nothing: its driver reads what libpq does, and says the rest when it connects."""
        return ""

    def create_engine(
        self, url: Secret, *, settings: DatabaseSettings, application_name: str, replica: bool, pool_size: int | None
    ) -> AsyncEngine:
        """Build a pool; nothing connects yet. `replica` takes a standby if there is one."""
        connector = Connector(url, settings=settings, application_name=application_name, replica=replica)
        engine = servers.pool("postgresql+asyncpg", connector, size=pool_size or settings.pool_size)
        event.listen(engine.sync_engine, "handle_error", _discard_demoted)
        event.listen(engine.sync_engine, "checkout", _discard_closed)
        return engine

    def migration_lock(
        self,
        engine: AsyncEngine,
        *,
        key: int,
        until_taken: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        """Hold the session's advisory lock (postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS)."""
        return servers.session_lock(engine, _TAKE_LOCK, {"key": key}, until_taken=until_taken)

    async def put_batch(
        self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Run one statement in a transaction of its own, with an array for each column."""
        if statement not in self._batches:
            self._batches[statement] = self._batch(statement)
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        try:
            await driver.execute(self._batches[statement], *([row[name] for row in rows] for name in statement.batch))
        except BaseException:
            # the pool does not see the driver's own errors: a connection in an unknown state must not go back
            await connection.invalidate()
            raise

    def _batch(self, statement: Upsert) -> str:
        """Give the values as arrays, and the rest as SQLAlchemy words it for one row."""
        one_row = self.upsert(statement).compile(dialect=_DRIVER, compile_kwargs={"literal_binds": True})
        _, conflict, change = str(one_row).partition(" ON CONFLICT ")
        columns = [statement.table.c[name] for name in statement.batch]
        names = ", ".join(f'"{column.name}"' for column in columns)
        kinds = (column.type.compile(dialect=_DRIVER) for column in columns)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, start=1))
        return f"INSERT INTO {statement.table.name} ({names}) SELECT * FROM unnest({arrays}){conflict}{change}"  # noqa: S608 - names of ours

    async def patience(self, connection: AsyncConnection) -> float:  # noqa: ARG002 - the interface's signature
        """Return a second: most that is missing comes by itself, and the lock is taken before the number."""
        return 1.0

    async def open_writers(
        self,
        connection: AsyncConnection,
        table: Table,
        *,
        rows: Look,  # noqa: ARG002 - the interface's signature
    ) -> frozenset[str]:
        """Return the virtual ids of the transactions that hold the lock of writers."""
        return frozenset((await connection.execute(_WRITERS, {"name": table.name})).scalars())

    def notification(self, channel: str) -> Executable:
        """Build the statement that wakes who has subscribed (postgresql.org/docs/current/sql-notify.html)."""
        return text(f"SELECT pg_notify('{channel}', '')")

    async def subscribe(
        self, url: Secret, *, settings: DatabaseSettings, wakes: Mapping[str, Callable[[], None]]
    ) -> _Subscription:
        """Call back for every notification, by channel."""
        connector = Connector(url, settings=settings, application_name="payments-listener")
        connection = await connector.connect()
        try:
            for channel in wakes:
                await connection.add_listener(channel, lambda *told: wakes[told[2]]())
        except BaseException:
            connection.terminate()
            raise
        return _Subscription(connection)


class _Subscription:
    """A connection of its own, to the host that takes writes."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    def is_lost(self) -> bool:
        """Tell whether the connection is known to be gone."""
        return self._connection.is_closed()

    async def check(self) -> None:
        """Ask the server something, which finds out about a silent network."""
        await self._connection.execute("SELECT 1", timeout=CHECK_TIMEOUT_SECONDS)

    def end(self) -> None:
        """Hang up."""
        self._connection.terminate()


def _discard_demoted(context: ExceptionContext) -> None:
    """Treat a connection to a server that has become read-only as lost, so that the pool finds the new primary."""
    if isinstance(context.original_exception, Exception) and sqlstate(context.original_exception) == READ_ONLY:
        context.is_disconnect = True


def _discard_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool connect anew instead of handing out a closed connection; asks the server nothing."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError


@compiles(Among, NAME)
def _among(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.compiled(compiler, **kw)
    return f"{column} = ANY ({values})"


@compiles(HasMember, NAME)
def _has_member(element: HasMember, compiler: SQLCompiler, **kw: Any) -> str:
    column, member, value = element.compiled(compiler, **kw)
    return f"({column} @> jsonb_build_array(jsonb_build_object({member}, CAST({value} AS TEXT))))"


@compiles(ShareMember, NAME)
def _share_member(element: ShareMember, compiler: SQLCompiler, **kw: Any) -> str:
    one, other, member = element.compiled(compiler, **kw)
    wanted = f"jsonb_build_array(jsonb_build_object({member}, part -> {member}))"
    return f"EXISTS (SELECT FROM jsonb_array_elements({one}) AS part WHERE {other} @> {wanted})"


@compiles(TakesLock, NAME)
def _takes_lock(element: TakesLock, compiler: SQLCompiler, **kw: Any) -> str:
    name, seed = element.compiled(compiler, **kw)
    return f"pg_try_advisory_xact_lock(hashtextextended({name}, {seed}))"
