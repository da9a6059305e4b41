"""The whole service in the test's event loop: API, worker, simulator, on a real database."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import Table, select

from payment_service.bootstrap import Parts, build, create_app
from payment_service.clock import MovableClock
from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET, Settings
from payment_service.events.routes import PATH as WEBHOOK_PATH
from payment_service.http.server import Servers, listen
from payment_service.migrations.runner import locked_connection, run_migrations
from stripe_simulator import Simulator
from stripe_simulator.control import ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CREATE = "/api/v1/payments/create-subscription"
PRICE = "price_pro"
OTHER_PRICE = "price_basic"
WAIT_SECONDS = 60.0


@dataclass
class Stack:
    """What tests work with."""

    parts: Parts
    client: httpx.AsyncClient
    simulator: Simulator
    clock: MovableClock
    stripe_calls: list[tuple[str, str]]
    """Method and raw path of every request that reached Stripe."""

    async def create(self, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        """Create a subscription; to the price `PRICE` unless the body says otherwise."""
        if not {"price_id", "lookup_key"} & body.keys():
            body["price_id"] = PRICE
        return await self.client.post(CREATE, json=body, headers=headers)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """Return all rows of a table."""
        async with self.parts.database.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(select(table))]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until the awaited condition holds, and return it."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not (found := await condition()):  # noqa: ASYNC110 - what is awaited tells nobody
                await asyncio.sleep(0.02)
            return found

    def charges(self) -> list[dict[str, Any]]:
        """Return every successful charge at Stripe."""
        found: list[dict[str, Any]] = ledger(self.simulator)["charges"]
        return found


def development_settings(*, database_url: str, stripe_url: str, **more: str) -> Settings:
    """Return settings for a test."""
    return Settings.from_env(
        {
            "ENVIRONMENT": "development",
            "DATABASE_URL": database_url,
            "STRIPE_API_BASE": stripe_url,
            "PAYMENTS_ADMIN_PORT": "0",
            "PAYMENTS_CREATE_LIMIT_PER_MINUTE": "0",
            "PAYMENTS_HEALTH_LIMIT_PER_MINUTE": "0",
            "PAYMENTS_RECONCILE_SECONDS": "86400",
            **more,
        }
    )


@asynccontextmanager
async def running_stack(database_url: str, **more: str) -> AsyncIterator[Stack]:
    """Migrate the database and run everything on it."""
    clock = MovableClock()
    simulator = Simulator(clock=clock)
    simulators, servers = Servers(), Servers()
    stripe_socket, api_socket = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
    stripe_calls: list[tuple[str, str]] = []

    async def stripe(scope: Any, receive: Any, send: Any) -> None:
        stripe_calls.append((scope["method"], scope["raw_path"].decode()))
        await simulator.api(scope, receive, send)

    await simulators.start(stripe, stripe_socket)
    stripe_url = f"http://127.0.0.1:{stripe_socket.getsockname()[1]}"
    settings = development_settings(database_url=database_url, stripe_url=stripe_url, **more)
    await migrate_async(settings)
    parts = build(settings, clock=clock)
    base_url = f"http://127.0.0.1:{api_socket.getsockname()[1]}"
    await parts.importer.run()
    stripe_calls.clear()
    seed(simulator, base_url)
    async with simulator, httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        await servers.start(create_app(parts), api_socket)
        working = asyncio.create_task(parts.worker.run())
        try:
            yield Stack(parts=parts, client=client, simulator=simulator, clock=clock, stripe_calls=stripe_calls)
        finally:
            parts.worker.stop()
            await servers.stop()
            await working
            await parts.close()
            await simulators.stop()


@asynccontextmanager
async def two_pods(database_url: str, redis_url: str, **more: str) -> AsyncIterator[tuple[Stack, httpx.AsyncClient]]:
    """Run everything on an emptied Redis; beside it a second API on the same database and Redis, asked by the client.

    The second has no port and no worker of its own.
    """
    async with running_stack(database_url, REDIS_URL=redis_url, **more) as stack:
        redis: Any = stack.parts.redis
        await redis.flushdb()
        second = build(stack.parts.settings, clock=stack.clock)
        transport: Any = httpx.ASGITransport(app=create_app(second))  # type: ignore[arg-type] # ASGI
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://second") as client:
                yield stack, client
        finally:
            await second.close()


async def migrate_async(settings: Settings) -> None:
    """Run all migrations."""
    async with locked_connection(settings.database) as connection:
        await run_migrations(connection, contract=False)


def migrate(database_url: str) -> None:
    """Run all migrations, from a fixture without an event loop."""
    asyncio.run(migrate_async(development_settings(database_url=database_url, stripe_url="http://127.0.0.1:1")))


def seed(simulator: Simulator, base_url: str) -> None:
    """Give the simulator the tests' prices and the service's webhook endpoint."""
    seed_prices(simulator)
    simulator.ensure_webhook_endpoint(url=base_url + WEBHOOK_PATH, secret=DEVELOPMENT_WEBHOOK_SECRET)


def seed_prices(simulator: Simulator) -> None:
    """Give the simulator the tests' prices."""
    for price_id, lookup_key, amount in ((PRICE, "pro_monthly", 2900), (OTHER_PRICE, "basic_monthly", 900)):
        simulator.ensure_price(
            price_id=price_id,
            lookup_key=lookup_key,
            unit_amount=amount,
            currency="usd",
            interval="month",
            product_name=price_id,
        )
