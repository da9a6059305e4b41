"""Runs the simulator as a process of its own."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Final

import click

from payment_service.http.server import Servers, listen, stop_signals
from payment_service.printing import echo
from stripe_simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GARBAGE_THRESHOLD: Final = 100_000
"""The state is dictionaries that stay: looking through them every 700 allocations would cost more than the calls."""


def refuse_live(environment: Mapping[str, str]) -> None:
    """Refuse to stand in for Stripe where real money is meant.

    Raises:
        click.ClickException: production with live mode, which is production's default.
    """
    production = environment.get("ENVIRONMENT") == "production"
    if production and environment.get("PAYMENTS_STRIPE_MODE", "live") == "live":
        raise click.ClickException(
            "The simulator does not run with ENVIRONMENT=production and PAYMENTS_STRIPE_MODE=live. "
            "Set PAYMENTS_STRIPE_MODE=test for a staging environment."
        )


async def run(*, host: str, port: int, control_port: int, state: Path | None) -> None:
    """Serve the Stripe API and the control interface until SIGTERM.

    Raises:
        PortInUse: a port is taken.
        click.ClickException: live mode in production.
    """
    refuse_live(os.environ)
    simulator = Simulator(path=state)
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    servers = Servers()
    api, control = listen(host, port), listen(host, control_port)
    stopped = asyncio.Event()
    async with simulator:
        await servers.start(simulator.api, api)
        await servers.start(simulator.control, control)
        shown = f"[{host}]" if ":" in host else host
        echo(f"Stripe simulator on http://{shown}:{port}, control on http://{shown}:{control_port}")
        with stop_signals(stopped.set):
            await stopped.wait()
        await servers.stop()
