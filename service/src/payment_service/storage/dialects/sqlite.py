"""SQLite, by aiosqlite: a file, for development."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.compiler import compiles

from payment_service.storage.dialects.on_conflict import OnConflict
from payment_service.storage.dialects.row_by_row import RowByRow
from payment_service.storage.dialects.without_notifications import WithoutNotifications
from payment_service.storage.expressions import Among, HasMember, ShareMember, TakesLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.sql.compiler import SQLCompiler

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.dialects.interface import Look
    from payment_service.storage.statements import Upsert

NAME: Final = "sqlite"
POOL_TIMEOUT_SECONDS: Final = 5.0
BUSY_SECONDS: Final = 15.0
_UNAVAILABLE: Final = ("locked", "disk is full", "disk I/O", "readonly", "unable to open")


class SQLite(OnConflict, WithoutNotifications, RowByRow):
    """One file, one writer at a time, no logins; workers of this process are woken in it."""

    name = NAME
    title = "SQLite"
    schemes = frozenset({NAME})
    is_server = False
    has_roles = False
    has_one_writer = True
    keeps_time_zones = False
    has_partial_indexes = True
    rolls_back_tables = True
    notifies = False
    takes_batches = False
    reading: Final[Mapping[str, Any]] = {"reading": True}
    place = None

    def __init__(self) -> None:
        super().__init__(sqlite.insert)

    def misread(self, url: str) -> str:  # noqa: ARG002 - the interface's signature
        """Nothing: it is a path."""
        return ""

    def create_engine(
        self,
        url: Secret,
        *,
        settings: DatabaseSettings,  # noqa: ARG002 - the interface's signature
        application_name: str,  # noqa: ARG002 - likewise
        replica: bool,  # noqa: ARG002 - likewise
        pool_size: int | None,  # noqa: ARG002 - likewise
    ) -> AsyncEngine:
        """Build a pool; the folder of the file is made."""
        path = url.reveal().partition(":///")[2]
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            connect_args={"timeout": BUSY_SECONDS},
            pool_timeout=POOL_TIMEOUT_SECONDS,
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "connect", _configure)
        event.listen(engine.sync_engine, "begin", _begin)
        return engine

    @asynccontextmanager
    async def migration_lock(
        self,
        engine: AsyncEngine,
        *,
        key: int,  # noqa: ARG002 - the interface's signature
        until_taken: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
    ) -> AsyncIterator[AsyncConnection]:
        """Hold an exclusive lock on a file beside the SQLite file."""
        database = Path(engine.url.database or "memory")
        with database.with_name(database.name + ".migrate-lock").open("w") as file:

            async def take() -> bool:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            await until_taken(take)
            async with engine.connect() as connection:
                yield connection

    def is_unavailable(self, error: BaseException) -> bool:
        """Tell whether its driver says that it cannot serve now."""
        original = getattr(error, "orig", None)
        return isinstance(original, sqlite3.OperationalError) and any(part in str(original) for part in _UNAVAILABLE)

    def is_busy(self, error: BaseException) -> bool:  # noqa: ARG002 - the interface's signature
        """Who waits for the one writer is told that it is unavailable."""
        return False

    def is_collision(self, error: BaseException) -> bool:  # noqa: ARG002 - the interface's signature
        """One writes at a time."""
        return False

    def is_lock_timeout(self, error: BaseException) -> bool:  # noqa: ARG002 - the interface's signature
        """There are no locks but the file's."""
        return False

    def is_refused_value(self, error: BaseException) -> bool:  # noqa: ARG002 - the interface's signature
        """It holds whatever it is given."""
        return False

    def is_not_permitted(self, error: BaseException) -> bool:  # noqa: ARG002 - the interface's signature
        """Nobody's rights differ."""
        return False

    async def put_batch(
        self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write one after the other."""
        await self.put_all(connection, statement, rows)
        await connection.commit()

    async def patience(self, connection: AsyncConnection) -> float:  # noqa: ARG002 - the interface's signature
        """Return a second."""
        return 1.0

    async def open_writers(
        self,
        connection: AsyncConnection,  # noqa: ARG002 - the interface's signature
        table: Table,  # noqa: ARG002 - likewise
        *,
        rows: Look,  # noqa: ARG002 - likewise
    ) -> frozenset[str]:
        """Return none: who asks within a transaction that writes is the only one."""
        return frozenset()


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin(connection: Any) -> None:
    """Take the write lock at once: a transaction that reads first and writes later could not get it any more."""
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@compiles(Among, NAME)
def _among(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.compiled(compiler, **kw)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - of compiled expressions


@compiles(HasMember, NAME)
def _has_member(element: HasMember, compiler: SQLCompiler, **kw: Any) -> str:
    column, member, value = element.compiled(compiler, **kw)
    found = f"json_extract(part.value, '$.' || {member}) = {value}"
    return f"EXISTS (SELECT 1 FROM json_each({column}) AS part WHERE {found})"  # noqa: S608 - of compiled expressions


@compiles(ShareMember, NAME)
def _share_member(element: ShareMember, compiler: SQLCompiler, **kw: Any) -> str:
    one, other, member = element.compiled(compiler, **kw)
    same = f"json_extract(a.value, '$.' || {member}) = json_extract(b.value, '$.' || {member})"
    return f"EXISTS (SELECT 1 FROM json_each({one}) AS a, json_each({other}) AS b WHERE {same})"  # noqa: S608 - of compiled expressions


@compiles(TakesLock, NAME)
def _takes_lock(_element: TakesLock, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "1 = 1"
