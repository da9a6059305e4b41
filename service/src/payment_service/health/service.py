"""Health: the checks of the deployment guide, readiness, and the numbers that the operator compares."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from payment_service.migrations.support import SchemaSupport, read_support
from payment_service.platform import stripe_calls
from payment_service.platform.clock import Clock, isoformat

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from payment_service.platform.database import Database
    from payment_service.platform.drain import DrainState
    from payment_service.platform.stripe_gateway import StripeGateway

VERSION: Final = "2.0.0"
CHECK_SECONDS: Final = 1.5
STRIPE_CACHE_SECONDS: Final = 1.0
SCHEMA_CACHE_SECONDS: Final = 1.0
_PING: Final = text("SELECT 1")


class Health:
    """Answers probes. `/health/ready` never asks Stripe or Redis: a load balancer must not act on their faults."""

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        drain: DrainState,
        clock: Clock,
        redis: Any = None,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._drain = drain
        self._clock = clock
        self._redis = redis
        self._stripe_lock = asyncio.Lock()
        self._stripe_seen: tuple[float, bool] = (float("-inf"), False)
        self._schema_seen: tuple[float, SchemaSupport | None] = (float("-inf"), None)

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Run all checks side by side, each within its time limit, and return the guide's body."""
        database, redis, stripe = await asyncio.gather(
            _passes(self._ping_database()), _passes(self._ping_redis()), self._stripe()
        )
        healthy = database and redis and stripe
        return healthy, {
            "status": "healthy" if healthy else "unhealthy",
            "timestamp": isoformat(self._clock.now()),
            "checks": {"database": database, "redis": redis, "stripe": stripe},
            "version": VERSION,
        }

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Tell whether new connections are welcome: not stopping, database there, schema supported."""
        support = await self.schema()
        checks = {
            "accepting": not self._drain.stopping,
            "database": support is not None,
            "schema": support is not None and support.supported,
        }
        ready = all(checks.values())
        return ready, {"status": "ready" if ready else "not_ready", "checks": checks}

    async def schema(self) -> SchemaSupport | None:
        """Return the schema numbers; None when the database does not answer."""
        seen, support = self._schema_seen
        if time.monotonic() - seen < SCHEMA_CACHE_SECONDS:
            return support
        try:
            async with asyncio.timeout(CHECK_SECONDS), self._database.read() as connection:
                support = await read_support(connection)
        except Exception:  # noqa: BLE001 - a probe answers, whatever the driver raises
            support = None
        self._schema_seen = (time.monotonic(), support)
        return support

    async def _ping_database(self) -> None:
        async with self._database.read() as connection:
            await connection.execute(_PING)

    async def _ping_redis(self) -> None:
        if self._redis is not None:
            await self._redis.ping()

    async def _stripe(self) -> bool:
        """Ask Stripe at most once a second, one probe at a time."""
        async with self._stripe_lock:
            seen, passed = self._stripe_seen
            if time.monotonic() - seen < STRIPE_CACHE_SECONDS:
                return passed
            passed = await _passes(stripe_calls.check(self._gateway))
            self._stripe_seen = (time.monotonic(), passed)
            return passed


async def _passes(check: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except Exception:  # noqa: BLE001 - a probe answers, whatever a driver raises
        return False
    return True
