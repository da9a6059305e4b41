"""MariaDB, by asyncmy; MySQL, which speaks the same protocol, is refused when it answers (`mysql_server.py`).

SQLAlchemy's package is called by MySQL's name. It is loaded where it is needed: it takes 6 MB.

"Insert unless it is there" is an INSERT whose error is looked at, for one that fails takes back itself alone here, not
the transaction. A plain one that meets a row keeps a shared lock of it, and of two that do so neither can lock the row
for writing any more. `ON DUPLICATE KEY UPDATE` takes the right lock at once; so that it fails, too, it sets a column of
the primary key to null. `INSERT IGNORE` would also store what is too long, cut off.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import bindparam, delete, event, exc, null, select, text, tuple_, update
from sqlalchemy.ext.compiler import compiles

from payment_service.storage.dialects import servers
from payment_service.storage.dialects.mysql_address import SCHEMES, BadAddress, read_address
from payment_service.storage.dialects.mysql_connector import MySQLConnector
from payment_service.storage.dialects.mysql_failures import READ_ONLY, MySQLFailures, error_number, is_duplicate
from payment_service.storage.dialects.mysql_server import COLLATION
from payment_service.storage.dialects.row_by_row import RowByRow
from payment_service.storage.dialects.without_notifications import WithoutNotifications
from payment_service.storage.expressions import Among, HasMember, ShareMember, TakesLock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Table
    from sqlalchemy.engine import Row
    from sqlalchemy.engine.interfaces import ExceptionContext
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import PoolResetState
    from sqlalchemy.sql.compiler import SQLCompiler

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.dialects.interface import Look
    from payment_service.storage.statements import ChangeRows, InsertNew, RemoveRows, Upsert

NAME: Final = "mysql"
_LOCKED: Final = "locks"
"""In a connection's `info`: it holds locks that outlive the transaction."""
_LONGEST: Final = text("SELECT @@max_statement_time")
_STATEMENTS: Final = 6
_TAKE_LOCK: Final = text("SELECT GET_LOCK(:key, 0)")


class MySQL(MySQLFailures, WithoutNotifications, RowByRow):
    """One server, or a primary with replicas."""

    name = NAME
    title = "MariaDB"
    schemes = SCHEMES
    is_server = True
    has_roles = False
    has_one_writer = False
    keeps_time_zones = False
    has_partial_indexes = False
    rolls_back_tables = False
    notifies = False
    takes_batches = False
    reading: Final[Mapping[str, Any]] = {"isolation_level": "AUTOCOMMIT"}
    place = None

    def __init__(self) -> None:
        self._built: WeakKeyDictionary[InsertNew | Upsert, Any] = WeakKeyDictionary()

    def misread(self, url: str) -> str:
        """Return what is wrong with an address."""
        try:
            read_address(url)
        except BadAddress as error:
            return str(error)
        return ""

    def create_engine(
        self, url: Secret, *, settings: DatabaseSettings, application_name: str, replica: bool, pool_size: int | None
    ) -> AsyncEngine:
        """Build a pool; nothing connects yet. `replica` takes a read-only host if there is one."""
        connector = MySQLConnector(url, settings=settings, application_name=application_name, replica=replica)
        engine = servers.pool("mysql+asyncmy", connector, size=pool_size or settings.pool_size)
        event.listen(engine.sync_engine, "handle_error", _discard_demoted)
        event.listen(engine.sync_engine, "checkout", _discard_closed)
        event.listen(engine.sync_engine, "before_cursor_execute", _note_locks)
        event.listen(engine.sync_engine, "reset", _release_locks)
        return engine

    def migration_lock(
        self,
        engine: AsyncEngine,
        *,
        key: int,
        until_taken: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        """Hold the session's lock of this name."""
        return servers.session_lock(engine, _TAKE_LOCK, {"key": f"payments_{key}"}, until_taken=until_taken)

    async def insert_new(
        self, connection: AsyncConnection, statement: InsertNew, values: Mapping[str, Any]
    ) -> Row[Any] | None:
        """Insert a row and return it; None when a unique constraint holds one like it already."""
        if statement not in self._built:
            inserted = _insert(statement.table)
            if statement.source is not None:
                inserted = inserted.from_select(statement.names, statement.source)
            self._built[statement] = _or_fail(statement.table, inserted)
        if not await _inserted(connection, statement.table, self._built[statement], values):
            return None
        return await _read(connection, statement.table, statement.returning, values)

    async def put(self, connection: AsyncConnection, statement: Upsert, values: Mapping[str, Any]) -> Row[Any] | None:
        """Insert or change a row; return it when the statement returns anything and something was written."""
        if statement not in self._built:
            self._built[statement] = (_or_fail(statement.table, _insert(statement.table)), _change_of(statement))
        inserting, changing = self._built[statement]
        written = await _inserted(connection, statement.table, inserting, values)
        if not written:
            given = {f"e_{name}": value for name, value in values.items()}
            written = bool((await connection.execute(changing, given)).rowcount)
        if not (written and statement.returning):
            return None
        return await _read(connection, statement.table, statement.returning, values)

    async def put_all(self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert or change rows, one after the other."""
        for row in rows:
            await self.put(connection, statement, row)

    async def put_batch(
        self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write them in one transaction."""
        await self.put_all(connection, statement, rows)
        await connection.commit()

    async def change(
        self, connection: AsyncConnection, statement: ChangeRows, values: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """Lock the rows, change them and read them again: an UPDATE returns nothing here."""
        (key,) = statement.table.primary_key
        chosen = statement.chosen
        if chosen is None:
            chosen = select(key).where(*statement.where).with_for_update()
        found = (await connection.execute(chosen, values)).scalars().all()
        if not found:
            return []
        these = key.in_(bindparam("chosen_keys", expanding=True))
        keys = {"chosen_keys": list(found)}
        changed = update(statement.table).where(these).values(dict(statement.values))
        await connection.execute(changed, dict(values) | keys)
        return (await connection.execute(select(*statement.returning).where(these), keys)).all()

    async def remove(self, connection: AsyncConnection, statement: RemoveRows, values: Mapping[str, Any]) -> int:
        """Choose first: a subquery may have no LIMIT here."""
        keys = tuple(statement.table.primary_key)
        found = (await connection.execute(statement.chosen, values)).all()
        if not found:
            return 0
        these = tuple_(*keys).in_([tuple(row) for row in found])
        return (await connection.execute(delete(statement.table).where(*statement.where, these), values)).rowcount

    async def patience(self, connection: AsyncConnection) -> float:
        """Return the time within which a statement that takes numbers has written its rows, or has failed.

        It is several times the longest that this process lets one last: another may be set otherwise.
        """
        return _STATEMENTS * float((await connection.execute(_LONGEST)).scalar_one())

    async def open_writers(
        self,
        connection: AsyncConnection,
        table: Table,  # noqa: ARG002 - the interface's signature
        *,
        rows: Look,
    ) -> frozenset[str]:
        """Look for what is written and not committed: who writes is told to logins with the privilege PROCESS only.

        Each row stands for its transaction.
        """
        async with connection.engine.connect() as seeing:
            found = await rows(await seeing.execution_options(isolation_level="READ UNCOMMITTED"))
        return frozenset(map(str, found))


def _insert(table: Table) -> Any:
    return import_module("sqlalchemy.dialects.mysql").insert(table)


def _or_fail(table: Table, statement: Any) -> Any:
    """Let an INSERT fail when there is a row like it, holding the lock of that row."""
    *_, last = table.primary_key
    return statement.on_duplicate_key_update({last.name: null()})


async def _inserted(connection: AsyncConnection, table: Table, statement: Any, values: Mapping[str, Any]) -> bool:
    """Insert a row; False when a unique constraint holds one like it, or there was none to insert."""
    try:
        return bool((await connection.execute(statement, values)).rowcount)
    except exc.IntegrityError as error:
        if not is_duplicate(error, column=[*table.primary_key][-1].name):
            raise
        return False


async def _read(
    connection: AsyncConnection, table: Table, columns: Sequence[Any], values: Mapping[str, Any]
) -> Row[Any]:
    """Read what this transaction has just written."""
    mine = (column == values[column.name] for column in table.primary_key)
    return (await connection.execute(select(*columns).where(*mine))).one()


def _change_of(statement: Upsert) -> Any:
    """Build the UPDATE of the row that is there; new values are the parameters `e_<column>`."""
    table = statement.table
    new = {column.name: bindparam(f"e_{column.name}", None, type_=column.type) for column in table.c}  # not given: null
    conditions = [column == new[column.name] for column in statement.key]
    if statement.when is not None:
        conditions.append(statement.when(new))
    return update(table).where(*conditions).values({name: new[name] for name in statement.changed})


def _discard_demoted(context: ExceptionContext) -> None:
    """Treat a connection to a server that has become read-only as lost, so that the pool finds the new primary."""
    if isinstance(context.original_exception, Exception) and error_number(context.original_exception) in READ_ONLY:
        context.is_disconnect = True


def _discard_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Make the pool connect anew instead of handing out what the server has ended; asks the server nothing."""
    if connection.driver_connection._stream_broken:  # noqa: SLF001 - asyncmy offers no other way
        raise exc.DisconnectionError


def _note_locks(connection: Any, _cursor: object, statement: str, *_: object) -> None:
    """Note that the session takes locks, which no commit gives back."""
    if "GET_LOCK(" in statement:
        connection.info[_LOCKED] = True


def _release_locks(connection: Any, record: Any, state: PoolResetState) -> None:
    """Give them back with the connection, after the commit; the server takes them from one that is closed."""
    if record.info.pop(_LOCKED, False) and not state.terminate_only:
        cursor = connection.cursor()
        cursor.execute("DO RELEASE_ALL_LOCKS()")
        cursor.close()


@compiles(Among, NAME)
def _among(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.compiled(compiler, **kw)
    text_of = f"VARCHAR(768) CHARACTER SET utf8mb4 COLLATE {COLLATION}"
    listed = f"JSON_TABLE({values}, '$[*]' COLUMNS (value {text_of} PATH '$')) AS listed"
    return f"{column} IN (SELECT listed.value FROM {listed})"  # noqa: S608 - of compiled expressions


@compiles(HasMember, NAME)
def _has_member(element: HasMember, compiler: SQLCompiler, **kw: Any) -> str:
    column, member, value = element.compiled(compiler, **kw)
    return f"JSON_CONTAINS({column}, JSON_ARRAY(JSON_OBJECT({member}, {value})))"


@compiles(ShareMember, NAME)
def _share_member(element: ShareMember, compiler: SQLCompiler, **kw: Any) -> str:
    one, other, member = element.compiled(compiler, **kw)
    path = f"CONCAT('$[*].', {member})"
    return f"JSON_OVERLAPS(JSON_EXTRACT({one}, {path}), JSON_EXTRACT({other}, {path}))"


@compiles(TakesLock, NAME)
def _takes_lock(element: TakesLock, compiler: SQLCompiler, **kw: Any) -> str:
    name, seed = element.compiled(compiler, **kw)
    return f"GET_LOCK(CONCAT('{{', {seed}, '}}', LEFT(SHA2({name}, 256), 40)), 0) = 1"
