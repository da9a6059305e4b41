"""`payments demo`: API, worker and Stripe simulator in one process on SQLite, and the main job done once."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from sqlalchemy import select

from payment_service.bootstrap import Parts, build, create_app
from payment_service.config.settings import DEVELOPMENT_WEBHOOK_SECRET, Settings
from payment_service.events.routes import PATH as WEBHOOK_PATH
from payment_service.http.server import PortInUse, Servers, listen, stop_signals
from payment_service.migrations.runner import locked_connection, run_migrations
from payment_service.mirror.invoice import invoices
from payment_service.mirror.registry import event_types
from payment_service.observability.logging import configure_logging
from payment_service.printing import echo, echo_styled
from payment_service.storage.tables import events
from stripe_simulator import Simulator

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
STATE: Final = Path(".demo")
WAIT_SECONDS: Final = 20.0
STRIPE_PORT: Final = 12111
PAGE_PORT: Final = 12112
"""Those of `payments simulator`; free ones are taken where another program has them."""
KEY: Final = "sk_test_demo"
"""Any well-formed test key opens the simulator."""
PRICES: Final[tuple[tuple[str, str, int, str, str, str], ...]] = (
    ("pro_monthly", "Pro", 2900, "usd", "month", "licensed"),
    ("pro_yearly", "Pro", 29000, "usd", "year", "licensed"),
    ("pro_monthly_eur", "Pro", 2700, "eur", "month", "licensed"),
    ("team_seat", "Team", 900, "usd", "month", "licensed"),
    ("api_calls", "API calls", 1, "usd", "month", "metered"),
)
"""Lookup key, product, amount, currency, interval and kind of usage."""
BODY: Final = {
    "lookup_key": "pro_monthly",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "payment_method_id": "pm_card_visa",
    "allow_multiple": True,
}


class DemoFailed(Exception):
    """A step of the round trip failed; the message names it."""


@dataclass(slots=True)
class Steps:
    """Prints each step with the time it took."""

    started: float

    def done(self, what: str, detail: str) -> None:
        """Print one step."""
        milliseconds = (time.perf_counter() - self.started) * 1000
        echo_styled("  ", ("✓", "green"), f" {what:<28} {detail}  {milliseconds:6.0f} ms")


async def run_demo(*, port: int, once: bool, body: dict[str, Any] | None, again: str) -> None:
    """Start everything, do the main job once, and serve until Ctrl-C unless `once`.

    Args:
        port: of the API.
        once: exit after the round trip.
        body: of the request; None: `BODY`.
        again: what to put behind `curl -d` to repeat it.

    Raises:
        PortInUse: the port is taken.
        DemoFailed: a step of the round trip failed.
    """
    listener = listen(HOST, port)
    simulator = Simulator(path=STATE / "stripe-simulator.sqlite3")
    servers, simulators = Servers(), Servers()
    stripe_socket, page_socket = _listen_if_free(STRIPE_PORT), _listen_if_free(PAGE_PORT)
    await simulators.start(simulator.api, stripe_socket)
    await simulators.start(simulator.control, page_socket)
    stripe, page = (f"http://{HOST}:{each.getsockname()[1]}" for each in (stripe_socket, page_socket))
    settings = _settings(stripe)
    configure_logging(settings)
    async with locked_connection(settings.database) as connection:
        await run_migrations(connection, contract=False)
    parts = build(settings)
    base = f"http://{HOST}:{listener.getsockname()[1]}"
    simulator.ensure_webhook_endpoint(
        url=base + WEBHOOK_PATH, secret=DEVELOPMENT_WEBHOOK_SECRET, enabled_events=event_types()
    )
    stopped = asyncio.Event()
    await parts.importer.run()
    async with simulator:
        working = asyncio.create_task(parts.worker.run())
        await servers.start(create_app(parts), listener)
        _seed(simulator)  # now that its webhooks are heard: what no webhook tells is reconciled with a warning
        try:
            with stop_signals(stopped.set):
                await _round_trip(parts, base, body or BODY)
                if not once:
                    _print_addresses(base, stripe=stripe, page=page, again=again)
                    await stopped.wait()
        finally:
            parts.drain.stop()
            parts.worker.stop()
            await servers.stop()
            await working
            await parts.close()
            await simulators.stop()


def _listen_if_free(port: int) -> socket.socket:
    """Listen on this port, or on a free one with a message when it is taken."""
    try:
        return listen(HOST, port)
    except PortInUse:
        chosen = listen(HOST, 0)
        echo(f"Port {port} is in use: the simulator takes {chosen.getsockname()[1]} instead.")
        return chosen


def _seed(simulator: Simulator) -> None:
    """Put into the catalogue what can be ordered."""
    for lookup_key, product, amount, currency, interval, usage in PRICES:
        simulator.ensure_price(
            price_id=f"price_{lookup_key}",
            lookup_key=lookup_key,
            unit_amount=amount,
            currency=currency,
            interval=interval,
            product_name=product,
            product_id=f"prod_{product.lower().replace(' ', '_')}",
            usage_type=usage,
        )


def _settings(stripe: str) -> Settings:
    """Return development settings on the demo's own state, whatever else the environment holds."""
    keep = {name: value for name, value in os.environ.items() if name.startswith("PAYMENTS_") or name == "LOG_LEVEL"}
    return Settings.from_env(
        {"LOG_LEVEL": "WARNING"}
        | keep
        | {
            "ENVIRONMENT": "development",
            "DATABASE_URL": f"sqlite:///{STATE / 'payments.sqlite3'}",
            "STRIPE_API_BASE": stripe,
            "PAYMENTS_ADMIN_PORT": "0",
        }
    )


async def _round_trip(parts: Parts, base: str, body: dict[str, Any]) -> None:
    echo("Creating a subscription through the API:\n")
    steps = Steps(time.perf_counter())
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{base}/api/v1/payments/create-subscription", json=body) as answer:
            created = await answer.json(content_type=None)
            if answer.status not in {200, 201}:
                raise DemoFailed(f"create-subscription answered {answer.status}: {created.get('detail')}")
        steps.done("customer", created["customer_id"])
        steps.done(f"subscription {created['status']}", created["id"])
        if created["status"] != "active":
            raise DemoFailed(f"the subscription is {created['status']}, not active")
        invoice_id = created["latest_invoice_id"]
        paid = await _wait_for("the paid invoice", lambda: _paid_invoice(parts, invoice_id))
        steps.done(f"invoice paid {paid.amount_paid / 100:.2f} {paid.currency.upper()}", invoice_id)
        event = await _wait_for("the signed webhook", lambda: _applied_event(parts, invoice_id))
        steps.done(f"event {event.type} applied", event.id)


async def _paid_invoice(parts: Parts, invoice_id: str) -> Any:
    async with parts.database.read() as connection:
        statement = select(invoices).where(invoices.c.id == invoice_id, invoices.c.status == "paid")
        return (await connection.execute(statement)).first()


async def _applied_event(parts: Parts, object_id: str) -> Any:
    async with parts.database.read() as connection:
        statement = select(events).where(
            events.c.object_id == object_id, events.c.type == "invoice.paid", events.c.state == "applied"
        )
        return (await connection.execute(statement)).first()


async def _wait_for(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.02)
    raise DemoFailed(f"{what} did not arrive within {WAIT_SECONDS:.0f} s")


def _print_addresses(base: str, *, stripe: str, page: str, again: str) -> None:
    pages = (
        (f"{base}/docs", "try the API"),
        (f"{base}/api/v1/prices", "what can be ordered"),
        (f"{base}/health", "health"),
        (f"{base}/metrics", "Prometheus metrics"),
        (f"{page}/", "the Stripe simulator's state"),
    )
    key = f"demo-{uuid.uuid4().hex[:12]}"
    echo("\nServing until Ctrl-C:")
    for address, what in pages:
        echo(f"  {address:<36} {what}")
    echo(
        f"\nStripe's API, as the simulator has it:\n"
        f"  curl -s {stripe}/v1/subscriptions -u {KEY}:\n\n"
        f"Again, charged once however often it is sent:\n"
        f"  curl -s {base}/api/v1/payments/create-subscription -H 'Content-Type: application/json' \\\n"
        f"    -H 'Idempotency-Key: {key}' -d {again}\n"
    )
