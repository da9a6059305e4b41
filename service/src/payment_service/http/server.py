"""Runs ASGI applications with uvicorn: several ports in one process, one signal handler, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

import uvicorn

from payment_service.http.door.config import DoorConfig, affordable
from payment_service.http.door.limits import DoorSettings
from payment_service.http.door.watch import Door

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


ADMIN_CONNECTIONS: Final = 128
"""Of the admin port, which stays reachable for probes and metrics while the API's port is crowded."""
UNSENT_BYTES: Final = 32 * 1024
"""Of an answer in the kernel: a client that reads nothing must not fill a send buffer of megabytes."""
GRACEFUL_SECONDS: Final = 30
CANCELLED_SECONDS: Final = 5
BACKLOG: Final = 2048
EVERY_ADDRESS: Final = "::"
"""What `listen` takes for all addresses of the machine, IPv4 and IPv6."""
_EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104 - as above
_WITHOUT_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class PortInUse(Exception):
    """Another program listens on the port."""


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has one for all its servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; `EVERY_ADDRESS` means IPv4 too, and IPv4 alone on a machine without IPv6.

    Raises:
        PortInUse: with a message that tells what to do.
    """
    try:
        return _listening(host, port)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # the last three: no host, no port
        if host == EVERY_ADDRESS and getattr(error, "errno", None) in _WITHOUT_IPV6:
            return listen(_EVERY_IPV4, port)
        why = getattr(error, "strerror", None) or error
        raise PortInUse(f"port {port} on {host} is in use or not allowed: {why}") from error


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it answers wait 40 ms for an ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        if host == EVERY_ADDRESS:  # net.ipv6.bindv6only may say otherwise
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener


class Servers:
    """Several servers in one event loop.

    Args:
        settings: what a client may hold.
    """

    def __init__(self, settings: DoorSettings | None = None) -> None:
        self._settings = settings or DoorSettings()
        self._servers: list[tuple[Server, asyncio.Task[None], socket.socket]] = []
        self._doors: list[Door] = []

    async def start(
        self, application: Callable[..., Awaitable[None]], listener: socket.socket, *, port: str = "api"
    ) -> None:
        """Serve `application` on a listening socket; returns when it accepts connections.

        Args:
            application: an ASGI application.
            listener: its socket.
            port: what metrics call it; `admin` has a small limit of connections of its own.
        """
        most = ADMIN_CONNECTIONS if port == "admin" else affordable(self._settings.connections)
        door = Door(self._settings, port=port, connections=most)
        server = Server(DoorConfig(application, door=door, graceful_seconds=GRACEFUL_SECONDS))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.01)
        door.open()
        self._doors.append(door)
        self._servers.append((server, task, listener))

    async def stop(self) -> None:
        """Stop accepting, let requests in flight end, then close.

        What still runs after `GRACEFUL_SECONDS` is cancelled and gets a moment to give back what it holds.
        """
        for server, _, _ in self._servers:
            server.should_exit = True
        for server, task, listener in reversed(self._servers):
            await task
            listener.close()
            if cancelled := set(server.server_state.tasks):
                await asyncio.wait(cancelled, timeout=CANCELLED_SECONDS)
        for door in self._doors:
            door.close()
        self._servers.clear()
        self._doors.clear()


@contextlib.contextmanager
def stop_signals(on_stop: Callable[[], None]) -> Iterator[None]:
    """Call `on_stop` at the first SIGTERM or SIGINT; a second one ends the process at once."""
    seen = False

    def handle() -> None:
        nonlocal seen
        if seen:
            os._exit(1)
        seen = True
        on_stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
