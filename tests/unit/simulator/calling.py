"""Calls the simulator without a socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from payment_service.clock import MovableClock
from stripe_simulator import Simulator

KEY = "sk_test_unit"


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["error"]
        return found


@dataclass
class Stripe:
    """A simulator and a key."""

    clock: MovableClock = field(default_factory=MovableClock)
    key: str = KEY
    simulator: Simulator = field(init=False)

    def __post_init__(self) -> None:
        self.simulator = Simulator(clock=self.clock)

    async def call(self, method: str, path: str, *, key: Any = None, headers: Any = None, **params: Any) -> Reply:
        """Make one call; `key` is the idempotency key."""
        given = {"authorization": f"Bearer {self.key}"} | (headers or {}) | ({"idempotency-key": key} if key else {})
        return await request(self.simulator.api, method, f"/v1/{path}", headers=given, form=params)

    async def make(self, path: str, **params: Any) -> dict[str, Any]:
        """Make an object; raises when that is refused."""
        reply = await self.call("POST", path, **params)
        assert reply.status == 200, reply.body
        made: dict[str, Any] = reply.body
        return made

    async def control(self, method: str, path: str, content: Any = None, *, query: str = "") -> Reply:
        """Call the control interface."""
        body = b"" if content is None else msgspec.json.encode(content)
        return await request(self.simulator.control, method, path, headers={}, body=body, query=query)

    def advance(self, **amount: float) -> None:
        """Move Stripe's clock by `days`, `hours` or `seconds`."""
        seconds = {"days": 86400.0, "hours": 3600.0, "seconds": 1.0}
        self.clock.advance(sum(seconds[unit] * value for unit, value in amount.items()))
        self.simulator.tick()

    async def customer(self, method: str = "pm_card_visa") -> str:
        """Make a customer who pays with this card."""
        made = await self.make("customers", email="ada@example.com")
        attached = await self.make(f"payment_methods/{method}/attach", customer=made["id"])
        await self.make(f"customers/{made['id']}", **{"invoice_settings[default_payment_method]": attached["id"]})
        return str(made["id"])

    async def price(self, amount: int = 2900, *, interval: str = "month") -> str:
        """Make a recurring price."""
        params = {"product_data[name]": f"Plan {amount}", "unit_amount": amount, "currency": "usd"}
        return str((await self.make("prices", **params, **{"recurring[interval]": interval}))["id"])

    async def subscription(self, method: Any = "pm_card_visa", **params: Any) -> dict[str, Any]:
        """Make a subscription of a new customer."""
        customer, price = await self.customer(method), await self.price()
        return await self.make("subscriptions", customer=customer, **{"items[0][price]": price}, **params)

    async def event_types(self) -> list[str]:
        """Return the types of the last hundred events, oldest first."""
        found = await self.call("GET", "events", limit=100)
        return [event["type"] for event in reversed(found.body["data"])]


async def request(
    application: Any,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    form: dict[str, Any] | None = None,
    body: bytes = b"",
    query: str = "",
) -> Reply:
    """Make one ASGI request."""
    encoded, in_query = urlencode(form or {}), method in {"GET", "DELETE"}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": (encoded if in_query and encoded else query).encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    content = body or (b"" if in_query else encoded.encode())
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    shown = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    raw = sent[1]["body"]
    return Reply(sent[0]["status"], shown, msgspec.json.decode(raw) if raw.startswith(b"{") else raw.decode())
