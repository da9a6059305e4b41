"""`payments simulator` and `payments demo`, where this package is installed: production images do not hold it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from payment_service.cli import fail, run_to_end
from payment_service.cli_values import PORT


@click.command()
@click.option("--port", type=PORT, default=8000, show_default=True, envvar="PORT", help="Port of the API.")
@click.option("--once", is_flag=True, help="Do the round trip and exit.")
@click.option("--body", "body_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Request body.")
def demo(port: int, body_file: Path | None, *, once: bool) -> None:
    """Run everything in one process, and create a subscription. API, worker and Stripe simulator, on SQLite."""
    from stripe_simulator.demo import BODY, DemoFailed, run_demo  # noqa: PLC0415 - loaded for this command only

    try:
        body = msgspec.json.decode(body_file.read_bytes()) if body_file else None
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--body: {body_file} holds no JSON: {error}") from None
    again = f"@{body_file}" if body_file else "'" + msgspec.json.encode(BODY).decode() + "'"
    try:
        run_to_end(run_demo(port=port, once=once, body=body, again=again))
    except DemoFailed as error:
        fail(f"The demo failed: {error}")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, default=12111, show_default=True, help="Port of the Stripe API.")
@click.option(
    "--control-port", type=PORT, default=12112, show_default=True, help="Port of faults, clock, ledger and state page."
)
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="SQLite file that keeps the state.")
def simulator(host: str, port: int, control_port: int, state: Path | None) -> None:
    """Run the Stripe simulator by itself."""
    from stripe_simulator.process import run  # noqa: PLC0415 - loaded for this command only

    run_to_end(run(host=host, port=port, control_port=control_port, state=state))
