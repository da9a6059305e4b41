"""Runs the simulator as a process of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from payment_service.platform.clock import MovableClock
from payment_service.server import Servers, listen, stop_signals
from payment_service.simulator.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path


async def run(*, host: str, port: int, control_port: int, state: Path | None) -> None:
    """Serve the Stripe API and the control interface until SIGTERM.

    Raises:
        PortInUse: a port is taken.
    """
    simulator = Simulator(path=state, clock=MovableClock())
    servers = Servers()
    api, control = listen(host, port), listen(host, control_port)
    stopped = asyncio.Event()
    async with simulator:
        await servers.start(simulator.api, api)
        await servers.start(simulator.control, control)
        click.echo(f"Stripe simulator on http://{host}:{port}, control on http://{host}:{control_port}")
        with stop_signals(stopped.set):
            await stopped.wait()
        await servers.stop()
