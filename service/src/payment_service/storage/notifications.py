"""LISTEN and NOTIFY: wake the workers when events were stored (postgresql.org/docs/current/sql-notify.html).

They save waiting only: who misses one finds the row at the next poll. So a notification is sent beside the transaction,
not in it, where it would let one commit at a time through; and at most one is under way in a process.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import text

from payment_service.tasks import begin, end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from payment_service.storage.database import Database

CHANNEL: Final = "payments_inbox"
PAUSE_SECONDS: Final = 0.05
"""Between two notifications of a process."""
RECONNECT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 1.0
CHECK_EVERY: Final = 30
"""Looks at the connection for one question to the server, which finds out about a silent network."""
CHECK_TIMEOUT_SECONDS: Final = 5.0
_NOTIFY: Final = text(f"SELECT pg_notify('{CHANNEL}', '')")

log = structlog.get_logger("payments")


class Notifier:
    """Tells the listening workers that there is something to do; does nothing on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted = False
        self._sending: asyncio.Task[None] | None = None

    def notify(self) -> None:
        """Send soon; the caller does not wait."""
        if self._database.dialect != "postgresql":
            return
        self._wanted = True
        if self._sending is None:
            self._sending = begin(self._send_wanted())

    async def send(self) -> None:
        """Send now."""
        if self._database.dialect == "postgresql":
            async with self._database.read() as connection:
                await connection.execute(_NOTIFY)

    async def _send_wanted(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                await self.send()
                await asyncio.sleep(PAUSE_SECONDS)
        except Exception as error:  # noqa: BLE001 - the workers' polling makes up for it
            log.warning("notification_lost", error=type(error).__name__)
        finally:
            self._sending = None

    async def close(self) -> None:
        """Send no more."""
        if self._sending is not None:
            await end([self._sending])


class Listener:
    """Calls back for every notification, on a connection of its own that is opened again when it breaks.

    Args:
        connect: opens a connection; None: there is nothing to listen to.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection[Any]]] | None) -> None:
        self._connect = connect

    async def run(self, wake: Callable[[], None], *, stopping: asyncio.Event) -> None:
        """Listen until `stopping`."""
        while self._connect is not None and not stopping.is_set():
            try:
                await self._listen(wake, stopping, self._connect)
            except Exception as error:  # noqa: BLE001 - the polling makes up for it
                log.warning("listening_interrupted", error=type(error).__name__)
                await _wait(stopping, RECONNECT_SECONDS)

    async def _listen(
        self,
        wake: Callable[[], None],
        stopping: asyncio.Event,
        connect: Callable[[], Awaitable[asyncpg.Connection[Any]]],
    ) -> None:
        connection = await connect()
        try:
            await connection.add_listener(CHANNEL, lambda *_: wake())
            wake()
            checks = 0
            while not await _wait(stopping, LOOK_SECONDS) and not connection.is_closed():
                checks += 1
                if checks % CHECK_EVERY == 0:
                    await connection.execute("SELECT 1", timeout=CHECK_TIMEOUT_SECONDS)
        finally:
            connection.terminate()


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event or so many seconds; tell whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
