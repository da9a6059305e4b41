"""Health: the checks of the deployment guide, readiness, and the numbers that the operator compares."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NotRequired, TypedDict

from sqlalchemy import text

from payment_service.clock import Clock, isoformat
from payment_service.health.stripe_check import StripeCheck
from payment_service.migrations.support import SchemaSupport, read_support
from payment_service.shares import counting_for
from payment_service.stripe_api import calls
from payment_service.tasks import begin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from payment_service.caching.redis import RedisClient
    from payment_service.http.drain import DrainState
    from payment_service.storage.database import Database
    from payment_service.storage.recovery import Recovery
    from payment_service.stripe_api.gateway import StripeGateway

VERSION: Final = "2.0.0"
CHECK_SECONDS: Final = 1.5
SCHEMA_CACHE_SECONDS: Final = 1.0
_PING: Final = text("SELECT 1")


class Report(TypedDict):
    """The guide's body."""

    status: str
    timestamp: str
    checks: dict[str, bool]
    version: str
    recovering: NotRequired[bool]
    """True while mutations wait for a comparison with Stripe."""


class Health:
    """Answers probes. `/health/ready` never asks Stripe or Redis: a load balancer must not act on their faults.

    A crowd at `/health` costs little: who asks while a report is made gets that one, and see `StripeCheck`.

    Args:
        database: asked with one statement.
        gateway: asked for the balance.
        drain: whether the process stops.
        clock: of the report's time.
        recovery: whether the database is older than what was done; no reason to be unhealthy, for the rest goes on.
        redis: the client; None in development.
        account: a name of Stripe's address and key, see `StripeCheck`.
    """

    def __init__(
        self,
        database: Database,
        gateway: StripeGateway,
        *,
        drain: DrainState,
        clock: Clock,
        recovery: Recovery,
        redis: RedisClient | None = None,
        account: Callable[[], str] = lambda: "",
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._drain = drain
        self._clock = clock
        self._recovery = recovery
        self._redis = redis
        self._stripe = StripeCheck(self._stripe_answers, redis=redis, account=account)
        self._reporting: asyncio.Task[tuple[bool, Report]] | None = None
        self._schema_lock = asyncio.Lock()
        self._schema_seen: tuple[float, SchemaSupport | None] = (float("-inf"), None)

    async def report(self) -> tuple[bool, Report]:
        """Run all checks side by side, each within its time limit, and return the guide's body."""
        if self._reporting is None or self._reporting.done():
            self._reporting = begin(self._report())
        return await asyncio.shield(self._reporting)

    async def _report(self) -> tuple[bool, Report]:
        database, redis, stripe, recovering = await asyncio.gather(
            _passes(self._ping_database()), _passes(self._ping_redis()), self._stripe.passes(), self.recovering()
        )
        healthy = database and redis and stripe
        report: Report = {
            "status": "healthy" if healthy else "unhealthy",
            "timestamp": isoformat(self._clock.now()),
            "checks": {"database": database, "redis": redis, "stripe": stripe},
            "version": VERSION,
        }
        if recovering:
            report["recovering"] = True
        return healthy, report

    async def recovering(self) -> bool:
        """Tell whether mutations wait for a comparison with Stripe; False while the database does not tell."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return (await self._recovery.state()).mark is not None
        except Exception:  # noqa: BLE001 - a report answers, whatever the driver raises
            return False

    async def ready(self) -> tuple[bool, dict[str, object]]:
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
        """Return the schema numbers; None when the database does not answer. One look serves all who ask at once."""
        async with self._schema_lock:
            seen, support = self._schema_seen
            if time.monotonic() - seen < SCHEMA_CACHE_SECONDS:
                return support
            with counting_for(None):  # probes wait for this look, whoever it is that looks
                support = await self._read_schema()
            self._schema_seen = (time.monotonic(), support)
            return support

    async def _read_schema(self) -> SchemaSupport | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS), self._database.read() as connection:
                return await read_support(connection)
        except Exception:  # noqa: BLE001 - a probe answers, whatever the driver raises
            return None

    async def _ping_database(self) -> None:
        async with self._database.read() as connection:
            await connection.execute(_PING)

    async def _ping_redis(self) -> None:
        if self._redis is not None:
            await self._redis.ping()

    async def _stripe_answers(self) -> bool:
        return await _passes(calls.check(self._gateway))


async def _passes(check: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except Exception:  # noqa: BLE001 - a probe answers, whatever a driver raises
        return False
    return True
