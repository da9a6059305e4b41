"""What every database gives, in the words of those who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Executable, Table
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from payment_service.config.secrets import Secret
    from payment_service.config.settings import DatabaseSettings
    from payment_service.storage.rows import WholeRow
    from payment_service.storage.statements import (
        ChangeRows,
        InsertNew,
        InsertRows,
        LockRows,
        RemoveRows,
        Upsert,
        WriteRows,
    )


class Look(Protocol):
    """A look at rows, over whichever connection."""

    def __call__(self, connection: AsyncConnection) -> Awaitable[Collection[int]]:
        """Return their numbers."""
        ...


class Subscription(Protocol):
    """A connection of its own over which the server tells of notifications."""

    def is_lost(self) -> bool:
        """Tell whether the connection is known to be gone."""
        ...

    async def check(self) -> None:
        """Ask the server something, which finds out about a silent network."""
        ...

    def end(self) -> None:
        """Hang up."""
        ...


class Dialect(Protocol):
    """One kind of database; stateless, so one instance serves all connections."""

    @property
    def name(self) -> str:
        """As SQLAlchemy calls it."""
        ...

    @property
    def title(self) -> str:
        """As people call it."""
        ...

    @property
    def schemes(self) -> frozenset[str]:
        """What its addresses begin with, without a driver's suffix."""
        ...

    @property
    def is_server(self) -> bool:
        """Whether it is reached over a network by many processes, which production needs, with pools that end."""
        ...

    @property
    def has_roles(self) -> bool:
        """Whether logins have rights of their own, and functions of the owner's do what they may not."""
        ...

    @property
    def has_one_writer(self) -> bool:
        """Whether a second transaction that writes waits for the first, by polling."""
        ...

    @property
    def keeps_time_zones(self) -> bool:
        """Whether a moment comes back with its time zone."""
        ...

    @property
    def has_partial_indexes(self) -> bool:
        """Whether an index can hold some of the rows."""
        ...

    @property
    def rolls_back_tables(self) -> bool:
        """Whether a transaction that fails takes back what it did to tables; else each such statement commits."""
        ...

    @property
    def notifies(self) -> bool:
        """Whether `notification` and `subscribe` do anything."""
        ...

    @property
    def takes_batches(self) -> bool:
        """Whether `put_batch` is worth waiting for others with whom to share a statement."""
        ...

    @property
    def reading(self) -> Mapping[str, Any]:
        """SQLAlchemy's execution options of a connection that only reads."""
        ...

    @property
    def place(self) -> Executable | None:
        """Asks for `system`, `database` and `timeline`, which differ after a restore; None: it cannot tell."""
        ...

    def misread(self, url: str) -> str:
        """Return what is wrong with an address, without its password; empty: nothing that is known beforehand."""
        ...

    def create_engine(
        self, url: Secret, *, settings: DatabaseSettings, application_name: str, replica: bool, pool_size: int | None
    ) -> AsyncEngine:
        """Build a pool; nothing connects yet. `replica` takes a standby if there is one."""
        ...

    def migration_lock(
        self,
        engine: AsyncEngine,
        *,
        key: int,
        until_taken: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        """Hold the one lock of all migrations while the block runs, and give a connection.

        Args:
            engine: of the owner.
            key: names the lock.
            until_taken: calls a function that tries again and again, and gives up in time.
        """
        ...

    def is_unavailable(self, error: BaseException) -> bool:
        """Tell whether its driver says that it cannot serve now."""
        ...

    def is_busy(self, error: BaseException) -> bool:
        """Tell whether a statement or a lock took too long, or two transactions collided."""
        ...

    def is_collision(self, error: BaseException) -> bool:
        """Tell whether a whole transaction was rolled back for the sake of another, which then could go on."""
        ...

    def is_lock_timeout(self, error: BaseException) -> bool:
        """Tell whether a statement gave up waiting for a lock."""
        ...

    def is_refused_value(self, error: BaseException) -> bool:
        """Tell whether it can never hold a value."""
        ...

    def is_not_permitted(self, error: BaseException) -> bool:
        """Tell whether a function is not this login's to call, is not there, or does nothing on this server."""
        ...

    async def insert_new(
        self, connection: AsyncConnection, statement: InsertNew, values: Mapping[str, Any]
    ) -> Row[Any] | None:
        """Insert a row and return it; None when a unique constraint holds one like it already."""
        ...

    async def put(self, connection: AsyncConnection, statement: Upsert, values: Mapping[str, Any]) -> Row[Any] | None:
        """Insert or change a row; return it when the statement returns anything and something was written."""
        ...

    async def put_all(self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert or change rows."""
        ...

    async def put_batch(
        self, connection: AsyncConnection, statement: Upsert, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert or change rows of different keys in one statement and one commit; only where it `takes_batches`."""
        ...

    async def change(
        self, connection: AsyncConnection, statement: ChangeRows, values: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """Change rows, and return them as they are then."""
        ...

    async def remove(self, connection: AsyncConnection, statement: RemoveRows, values: Mapping[str, Any]) -> int:
        """Remove rows, and return how many."""
        ...

    async def patience(self, connection: AsyncConnection) -> float:
        """Return for how many seconds a transaction may have a table's number before `open_writers` shows it."""
        ...

    async def open_writers(self, connection: AsyncConnection, table: Table, *, rows: Look) -> frozenset[str]:
        """Return names of the transactions that may have written to a table and have not ended.

        What a transaction that is not among them has written can be seen by every later statement.

        Args:
            connection: of a transaction.
            table: the table.
            rows: finds the rows in question, by a connection; who has not written one of them need not be told of.
        """
        ...

    async def lock_rows(
        self, connection: AsyncConnection, statement: LockRows, keys: Sequence[str]
    ) -> dict[str, WholeRow]:
        """Lock rows in the order of their keys, and return them by key."""
        ...

    async def write_rows(
        self,
        connection: AsyncConnection,
        statement: WriteRows,
        rows: Sequence[Mapping[str, object]],
        *,
        locked: Collection[str],
    ) -> set[str]:
        """Change the locked rows and insert the others, and return the keys of those that were written."""
        ...

    async def insert_rows(
        self, connection: AsyncConnection, statement: InsertRows, rows: Sequence[Mapping[str, object]]
    ) -> None:
        """Insert rows in their order."""
        ...

    def notification(self, channel: str) -> Executable:
        """Build the statement that wakes who has subscribed to a channel."""
        ...

    async def subscribe(
        self, url: Secret, *, settings: DatabaseSettings, wakes: Mapping[str, Callable[[], None]]
    ) -> Subscription:
        """Call back for every notification, by channel."""
        ...
