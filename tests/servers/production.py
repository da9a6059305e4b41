"""The service as it runs in production, behind a real socket: keys are asked for, what Stripe is asked is noted."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from tests.servers.stack import running_stack

from payment_service.access.keys import ApiKeys
from payment_service.access.service import Access
from payment_service.bootstrap import create_app
from payment_service.http.server import Servers, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.stack import Stack


@dataclass
class Production:
    """What tests work with."""

    stack: Stack
    port: int
    key: str
    """Of the scope admin."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def production(database_url: str, **more: str) -> AsyncIterator[Production]:
    """Run the stack, and beside its own server one with the rules of production and without limits of rate."""
    async with running_stack(database_url, **more) as stack:
        http = replace(stack.parts.settings.http, key_limit_per_minute=0, address_limit_per_minute=0)
        settings = replace(stack.parts.settings, environment="production", http=http)
        stack.parts.settings = settings
        stack.parts.access = Access(settings, stack.parts.database, clock=stack.clock)
        key, _ = await ApiKeys(settings, stack.parts.database, clock=stack.clock).create(
            "tests", scope="admin", days=None, actor="cli:test"
        )
        servers, socket = Servers(), listen("127.0.0.1", 0)
        application: Any = create_app(stack.parts)
        await servers.start(application, socket)
        try:
            yield Production(stack=stack, port=socket.getsockname()[1], key=key)
        finally:
            await servers.stop()


async def main(database_url: str) -> None:
    """Serve until the standard input ends; say where, and with which key."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with production(database_url) as running:
        sys.stdout.write(f"serving {running.url} {running.key}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
