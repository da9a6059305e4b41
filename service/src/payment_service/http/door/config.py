"""uvicorn's configuration with a door."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING, Final

import uvicorn

from payment_service.http.door.protocol import GuardedProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.http.door.watch import Door

FILES_FOR_THE_REST: Final = 512
"""Files and sockets that a process needs besides its clients': pools, logs, libraries."""


class DoorConfig(uvicorn.Config):
    """The configuration of one port."""

    def __init__(self, application: Callable[..., Awaitable[None]], *, door: Door, graceful_seconds: int) -> None:
        super().__init__(
            application,
            http=GuardedProtocol,
            ws="none",
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=graceful_seconds,
            proxy_headers=False,
        )
        self.door = door


def affordable(connections: int) -> int:
    """Return how many connections fit into the process's limit of open files, which is raised if that is allowed.

    A process that runs out of files cannot accept anybody, also not to say that it is full.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + FILES_FOR_THE_REST
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return min(connections, max(soft - FILES_FOR_THE_REST, soft // 2))
