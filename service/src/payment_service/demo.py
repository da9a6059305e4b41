"""`payments demo`: API, worker and Stripe simulator in one process on SQLite, and the main job done once."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import click
from sqlalchemy import select

from payment_service.app import Parts, build, create_app
from payment_service.migrations.runner import locked_connection, run_migrations
from payment_service.platform.logging import configure_logging
from payment_service.server import Servers, listen, stop_signals
from payment_service.settings import DEVELOPMENT_WEBHOOK_SECRET, Settings
from payment_service.simulator import Simulator
from payment_service.tables import events, invoices
from payment_service.webhooks.routes import PATH as WEBHOOK_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
STATE: Final = Path(".demo")
WAIT_SECONDS: Final = 20.0
PRICE: Final = {
    "price_id": "price_pro_monthly",
    "lookup_key": "pro_monthly",
    "unit_amount": 2900,
    "currency": "usd",
    "interval": "month",
    "product_name": "Pro",
}
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
        click.echo(f"  {click.style('✓', fg='green')} {what:<28} {detail}  {milliseconds:6.0f} ms")


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
    stripe_socket, page_socket = listen(HOST, 0), listen(HOST, 0)
    await simulators.start(simulator.api, stripe_socket)
    await simulators.start(simulator.control, page_socket)
    settings = _settings(stripe_port=stripe_socket.getsockname()[1])
    configure_logging(settings)
    async with locked_connection(settings.database) as connection:
        await run_migrations(connection, contract=False)
    parts = build(settings)
    base = f"http://{HOST}:{listener.getsockname()[1]}"
    simulator.ensure_price(**PRICE)  # type: ignore[arg-type] # the dictionary mixes texts and amounts
    simulator.ensure_webhook_endpoint(url=base + WEBHOOK_PATH, secret=DEVELOPMENT_WEBHOOK_SECRET)
    stopped = asyncio.Event()
    async with simulator:
        working = asyncio.create_task(parts.worker.run())
        await servers.start(create_app(parts), listener)
        try:
            with stop_signals(stopped.set):
                await _round_trip(parts, base, body or BODY)
                if not once:
                    _tell_addresses(base, page_socket.getsockname()[1], again)
                    await stopped.wait()
        finally:
            parts.drain.stop()
            parts.worker.stop()
            await servers.stop()
            await working
            await parts.close()
            await simulators.stop()


def _settings(*, stripe_port: int) -> Settings:
    """Return development settings on the demo's own state, whatever else the environment holds."""
    keep = {name: value for name, value in os.environ.items() if name.startswith("PAYMENTS_") or name == "LOG_LEVEL"}
    return Settings.from_env(
        {"LOG_LEVEL": "WARNING"}
        | keep
        | {
            "ENVIRONMENT": "development",
            "DATABASE_URL": f"sqlite:///{STATE / 'payments.sqlite3'}",
            "STRIPE_API_BASE": f"http://{HOST}:{stripe_port}",
            "PAYMENTS_ADMIN_PORT": "0",
        }
    )


async def _round_trip(parts: Parts, base: str, body: dict[str, Any]) -> None:
    click.echo("Creating a subscription through the API:\n")
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


def _tell_addresses(base: str, page_port: int, again: str) -> None:
    click.echo(
        f"\nServing until Ctrl-C:\n"
        f"  {base}/docs      try the API\n"
        f"  {base}/health    health\n"
        f"  {base}/metrics   Prometheus metrics\n"
        f"  http://{HOST}:{page_port}/         the Stripe simulator's state\n\n"
        f"Again:\n"
        f"  curl -s {base}/api/v1/payments/create-subscription -H 'Content-Type: application/json' -d {again}\n"
    )
