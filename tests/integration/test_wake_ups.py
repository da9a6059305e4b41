"""Where the database tells nobody, Redis wakes who waits; without it they look once a second."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.servers.stack import development_settings

from payment_service.caching.redis import close, connect
from payment_service.config.secrets import Secret
from payment_service.storage import notifications
from payment_service.storage.database import Database
from payment_service.storage.notifications import Listener, Notifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest
    from tests.servers.valkey import ValkeyServer

SECONDS = 20.0


@asynccontextmanager
async def listening(server: ValkeyServer, folder: Path) -> AsyncIterator[tuple[Notifier, asyncio.Event]]:
    """Listen as a worker does, to what the API of another process tells."""
    settings = development_settings(database_url=f"sqlite:///{folder / 'x'}", stripe_url="http://127.0.0.1:1").database
    clients = [connect(Secret(server.url)) for _ in range(2)]
    telling, hearing = (Database.from_settings(settings, bell=client) for client in clients)
    notifier, woken, stopping = Notifier(telling), asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(Listener.to(hearing, settings=settings).run(woken.set, stopping=stopping))
    try:
        yield notifier, woken
    finally:
        stopping.set()
        async with asyncio.timeout(SECONDS):
            await task
        await notifier.close()
        for client in clients:
            await close(client)
        for database in (telling, hearing):
            await database.close()


async def heard(woken: asyncio.Event) -> None:
    async with asyncio.timeout(SECONDS):
        await woken.wait()
    woken.clear()


async def test_another_process_is_woken(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    async with listening(valkey_server, tmp_path) as (notifier, woken):
        await heard(woken)  # by the subscription itself: what came before it
        notifier.notify()
        await heard(woken)
        await asyncio.sleep(2 * notifications.LOOK_SECONDS)  # answers to pings wake nobody
        assert not woken.is_set()
        notifier.notify()
        await heard(woken)


async def test_a_redis_that_comes_back_is_heard_again(
    valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "RECONNECT_SECONDS", 0.1)
    async with listening(valkey, tmp_path) as (notifier, woken):
        await heard(woken)
        valkey.stop()
        notifier.notify()  # is lost, and breaks nothing
        await asyncio.sleep(0.5)
        valkey.start()
        await heard(woken)
        notifier.notify()
        await heard(woken)


async def test_without_a_redis_nobody_listens(tmp_path: Path) -> None:
    settings = development_settings(database_url=f"sqlite:///{tmp_path / 'x'}", stripe_url="http://127.0.0.1:1")
    database = Database.from_settings(settings.database)
    async with asyncio.timeout(SECONDS):
        await Listener.to(database, settings=settings.database).run(lambda: None, stopping=asyncio.Event())
    await Notifier(database).send()
    await database.close()
