"""The long-running processes: serve and worker. One process a pod; scale with pods."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from payment_service.app import Parts, build, create_app
from payment_service.health.admin import admin_app
from payment_service.server import Servers, listen, stop_signals

if TYPE_CHECKING:
    from payment_service.settings import Settings

log = structlog.get_logger("payment_service")


async def serve(settings: Settings, *, host: str, port: int) -> None:
    """Run the API and the admin port until SIGTERM.

    Raises:
        PortInUse: a port is taken.
    """
    parts = build(settings)
    servers = Servers()
    stopped = asyncio.Event()
    listener = listen(host, port)
    await start_admin(servers, parts, worker=False)
    await servers.start(create_app(parts), listener)
    log.info("serving", host=host, port=port, admin_port=settings.http.admin_port)
    with stop_signals(stopped.set):
        await stopped.wait()
        parts.drain.stop()
        log.info("stopping")
        await servers.stop()
    await parts.close()
    log.info("stopped")


async def work(settings: Settings) -> None:
    """Run the worker and the admin port until SIGTERM.

    Raises:
        PortInUse: the admin port is taken.
    """
    parts = build(settings)
    servers = Servers()
    await start_admin(servers, parts, worker=True)
    log.info("working", admin_port=settings.http.admin_port)
    with stop_signals(parts.worker.stop):
        await parts.worker.run()
    parts.drain.stop()
    await servers.stop()
    await parts.close()
    log.info("stopped")


async def start_admin(servers: Servers, parts: Parts, *, worker: bool) -> None:
    """Serve the admin port unless it is switched off."""
    http = parts.settings.http
    if http.admin_port:
        await servers.start(admin_app(parts, worker=worker), listen(http.admin_host, http.admin_port))
