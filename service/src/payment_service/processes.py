"""The long-running processes: serve and worker. One process a pod; scale with pods."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Final

import structlog

from payment_service.access.needs import WATCH_SECONDS
from payment_service.bootstrap import Parts, build, create_admin, create_app
from payment_service.http.server import Servers, listen, stop_signals
from payment_service.tasks import end

if TYPE_CHECKING:
    from payment_service.config.settings import Settings

COLLECT_AFTER: Final = (10_000, 20, 20)
"""Objects made, and collections of younger ones, before the next collection (docs.python.org/3/library/gc.html)."""

log = structlog.get_logger("payment_service")


async def serve(settings: Settings, *, host: str, port: int) -> None:
    """Run the API and the admin port until SIGTERM.

    Then readiness fails and answers close their connections, for the rest of `PAYMENTS_DRAIN_SECONDS` (Kubernetes'
    preStop hook has used them up), so that load balancers turn away before the port closes; requests in flight end.

    Raises:
        PortInUse: a port is taken.
    """
    parts = build(settings)
    servers = Servers(settings.door)
    stopped = asyncio.Event()
    listener = listen(host, port)
    await start_admin(servers, parts, worker=False)
    await servers.start(create_app(parts), listener)
    keep_what_is_loaded()
    watching = asyncio.create_task(parts.access.needs.watch(every=WATCH_SECONDS))
    log.info("serving", host=host, port=port, admin_port=settings.http.admin_port)
    with stop_signals(stopped.set):
        await stopped.wait()
        parts.drain.stop()
        log.info("stopping")
        await asyncio.sleep(parts.drain.remaining(settings.http.drain_seconds))
        await servers.stop()
    await end([watching])
    await parts.close()
    log.info("stopped")


async def work(settings: Settings) -> None:
    """Run the worker and the admin port until SIGTERM.

    Raises:
        PortInUse: the admin port is taken.
    """
    parts = build(settings)
    servers = Servers(settings.door)
    await start_admin(servers, parts, worker=True)
    keep_what_is_loaded()
    log.info("working", admin_port=settings.http.admin_port)
    with stop_signals(parts.worker.stop):
        await parts.worker.run()
    parts.drain.stop()
    await servers.stop()
    await parts.close()
    log.info("stopped")


def keep_what_is_loaded() -> None:
    """Take what start-up made out of the garbage collector's sight and let it work seldom.

    Half a million objects of modules live as long as the process: collecting over them stalls requests for nothing.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()


async def start_admin(servers: Servers, parts: Parts, *, worker: bool) -> None:
    """Serve the admin port unless it is switched off."""
    http = parts.settings.http
    if http.admin_port:
        await servers.start(create_admin(parts, worker=worker), listen(http.admin_host, http.admin_port), port="admin")
