"""Puts the parts together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from payment_service.clock import Clock
from payment_service.tasks import end
from stripe_simulator.api import StripeApi
from stripe_simulator.control import ControlApi
from stripe_simulator.faults import Faults
from stripe_simulator.kept_clock import KeptClock
from stripe_simulator.keys import Keys
from stripe_simulator.storage import Storage
from stripe_simulator.worlds import Worlds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stripe_simulator.state import State
    from stripe_simulator.world import World

TICK_SECONDS = 1.0


class Simulator:
    """Stripe in one process.

    Args:
        path: a SQLite file that keeps the state over restarts; None: memory.
        clock: real time; tests hand in one they can move.

    `test_clock` moves what Stripe's test clocks move, for all customers at once.

    `api` and `control` are ASGI applications. Inside `async with`, webhooks are delivered and time passes.
    """

    def __init__(self, *, path: Path | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        storage = Storage(path) if path is not None else None
        self.test_clock = KeptClock(self.clock, storage)
        self.faults = Faults()
        self.keys = Keys()
        self.worlds = Worlds(storage=storage, clock=self.clock, billing=self.test_clock, faults=self.faults)
        self.api = StripeApi(self.worlds, self.keys, self.faults)
        self.control = ControlApi(self)
        self._ticking: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """The objects of the default account in test mode."""
        return self.worlds.default.state

    @property
    def routes(self) -> World:
        """The parts of the default account in test mode."""
        return self.worlds.default

    async def __aenter__(self) -> Self:
        """Start delivery and the clock's work."""
        self.worlds.start()
        self._ticking = asyncio.create_task(self._tick_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop and write the state."""
        assert self._ticking is not None
        await end([self._ticking])
        await self.worlds.stop()

    def close(self) -> None:
        """Write and close the file of a simulator that was not entered."""
        self.worlds.close()

    def tick(self) -> None:
        """Do what the clock makes due."""
        for world in self.worlds.all():
            world.advance()

    async def _tick_forever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def ensure_webhook_endpoint(
        self, *, url: str, secret: str, enabled_events: Sequence[str] = ("*",)
    ) -> dict[str, Any]:
        """Return the endpoint with this secret, made if there is none; an old address is updated."""
        endpoints = self.routes.endpoints
        for endpoint in self.state.all("webhook_endpoint"):
            if endpoints.secret(endpoint) == secret:
                return endpoints.update(endpoint, {"url": url})
        return endpoints.create({"url": url, "enabled_events": list(enabled_events)}, secret=secret)

    def ensure_price(
        self,
        *,
        price_id: str,
        lookup_key: str,
        unit_amount: int,
        currency: str,
        interval: str,
        product_name: str,
        product_id: str | None = None,
        usage_type: str = "licensed",
    ) -> dict[str, Any]:
        """Return the price with this id, made if there is none; its product too, unless the one named is there."""
        found = self.state.by_kind.get("price", {}).get(price_id)
        if found is not None:
            return found
        catalog = self.routes.catalog
        product = self.state.by_kind.get("product", {}).get(product_id or "")
        if product is None:
            product = catalog.create_product({"name": product_name} | ({"id": product_id} if product_id else {}))
        return catalog.create_price(
            {
                "id": price_id,
                "product": product["id"],
                "lookup_key": lookup_key,
                "unit_amount": unit_amount,
                "currency": currency,
                "recurring": {"interval": interval, "usage_type": usage_type},
            }
        )
