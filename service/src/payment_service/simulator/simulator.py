"""Puts the parts together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self

from payment_service.platform.clock import Clock
from payment_service.simulator.api import StripeApi
from payment_service.simulator.control import ControlApi
from payment_service.simulator.delivery import Delivery
from payment_service.simulator.events import Events
from payment_service.simulator.faults import Faults
from payment_service.simulator.idempotency import IdempotencyKeys
from payment_service.simulator.routes import Routes
from payment_service.simulator.state import State

if TYPE_CHECKING:
    from pathlib import Path

TICK_SECONDS = 1.0


class Simulator:
    """A Stripe account in one process.

    Args:
        path: a SQLite file that keeps the state over restarts; None: memory.
        clock: Stripe's time; tests hand in one they can move.

    `api` and `control` are ASGI applications. Inside `async with`, webhooks are delivered and time passes.
    """

    def __init__(self, *, path: Path | None = None, clock: Clock | None = None) -> None:
        self.state = State(path=path, clock=clock or Clock(), livemode=False)
        self.faults = Faults()
        self._delivery = Delivery(self.state, self.faults)
        self._events = Events(self.state, deliver=self._delivery.deliver)
        self.routes = Routes(self.state, self._events)
        self.api = StripeApi(self.state, self.routes, IdempotencyKeys(self.state), self.faults)
        self.control = ControlApi(self)
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start delivery and the clock's work."""
        self._delivery.start()
        self._ticking = asyncio.create_task(self._tick_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop and write the state."""
        assert self._ticking is not None
        self._ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticking
        await self._delivery.stop()
        self.state.close()

    def tick(self) -> None:
        """Do what the clock makes due."""
        self.routes.billing.advance()
        self.state.flush()

    async def _tick_forever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_SECONDS)

    def ensure_webhook_endpoint(self, *, url: str, secret: str) -> dict[str, Any]:
        """Return the endpoint with this address and secret, made if there is none; an old address is updated."""
        for endpoint in self.state.all("webhook_endpoint"):
            if endpoint["_secret"] == secret:
                return self._events.update_endpoint(endpoint, {"url": url})
        return self._events.create_endpoint({"url": url, "enabled_events": ["*"]}, secret=secret)

    def ensure_price(
        self, *, price_id: str, lookup_key: str, unit_amount: int, currency: str, interval: str, product_name: str
    ) -> dict[str, Any]:
        """Return the price with this id, made with its product if there is none."""
        found = self.state.by_kind.get("price", {}).get(price_id)
        if found is not None:
            return found
        catalog = self.routes.catalog
        product = catalog.create_product({"name": product_name})
        return catalog.create_price(
            {
                "id": price_id,
                "product": product["id"],
                "lookup_key": lookup_key,
                "unit_amount": unit_amount,
                "currency": currency,
                "recurring": {"interval": interval},
            }
        )
