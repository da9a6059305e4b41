"""What databases that are servers have alike: a pool of connections, and a lock that a session holds."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

POOL_TIMEOUT_SECONDS: Final = 5.0


class Connects(Protocol):
    """Opens connections."""

    async def connect(self) -> Any:
        """Return a connection of the driver's."""
        ...


def pool(driver: str, connector: Connects, *, size: int) -> AsyncEngine:
    """Build a pool; nothing connects yet.

    Args:
        driver: as SQLAlchemy calls it, with its database: `postgresql+asyncpg`.
        connector: opens its connections.
        size: connections at most; who finds none free waits `POOL_TIMEOUT_SECONDS`.
    """
    return create_async_engine(
        f"{driver}://",
        async_creator=connector.connect,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,  # an error would quote the addresses of people
    )


@asynccontextmanager
async def session_lock(
    engine: AsyncEngine,
    taking: Executable,
    values: Mapping[str, Any],
    *,
    until_taken: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
) -> AsyncIterator[AsyncConnection]:
    """Hold a lock that outlives transactions, and give the connection whose session has it.

    Args:
        engine: opens the connection.
        taking: the statement that takes it at once, and returns whether it did.
        values: of that statement.
        until_taken: calls a function that tries again and again, and gives up in time.
    """
    async with engine.connect() as connection:

        async def take() -> bool:
            taken = (await connection.execute(taking, values)).scalar_one()
            await connection.commit()
            return bool(taken)

        await until_taken(take)
        yield connection
